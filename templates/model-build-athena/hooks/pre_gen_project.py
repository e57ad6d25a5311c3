"""Say what is wrong with an answer before cookiecutter writes a file, as Copier does."""

import json
import re
import sys

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")
RULES = json.loads(r"""{% raw %}{
  "project_name": {
    "pattern": "\\A(?=.{2,32}\\Z)[A-Za-z][A-Za-z0-9]*([ -][A-Za-z0-9]+)*\\Z",
    "message": "must be 2 to 32 letters, digits, single spaces or hyphens, and start with a letter"
  },
  "owner": {
    "pattern": "\\A(?=.{1,64}\\Z)[\\w.:/=+@-]([\\w .:/=+@-]*[\\w.:/=+@-])?\\Z",
    "message": "must be 1 to 64 letters, digits, spaces or . : / = + - @ _ (AWS accepts no others in a tag)"
  },
  "aws_region": {
    "pattern": "\\A[a-z]{2,3}(-(gov|iso|isob|isof))?-[a-z]+-[0-9]\\Z",
    "message": "must be the code of an AWS region, such as eu-west-1"
  },
  "target_column": {
    "pattern": "\\A(?=.{1,128}\\Z)[\\w.-]([\\w .-]*[\\w.-])?\\Z",
    "message": "must be 1 to 128 letters, digits, spaces or . _ -"
  },
  "gate_metric": {
    "pattern": "\\A",
    "message": "must be a metric of the problem type, as the question lists them"
  },
  "gate_threshold": {
    "pattern": "\\A-?(0|[1-9][0-9]*)(\\.[0-9]+)?\\Z",
    "message": "must be a number such as 0.9, and at most 1 unless the metric is rmse, mse or mae"
  },
  "data_database": {
    "pattern": "\\A[a-z0-9_]{1,128}\\Z",
    "message": "must be 1 to 128 lower-case letters, digits or _; and target_column must be in lower case, as Athena answers"
  },
  "data_catalog": {
    "pattern": "\\A[A-Za-z0-9_@-]{1,128}\\Z",
    "message": "must be 1 to 128 letters, digits or _ @ -"
  },
  "data_lake_location": {
    "pattern": "\\As3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/([\\w.:=+@-]+/)*\\Z",
    "message": "must be a folder in S3 that ends in /, such as s3://bucket/lake/"
  },
  "model_package_group": {
    "pattern": "\\A(?=.{1,63}\\Z)[a-z0-9](-*[a-z0-9])*\\Z",
    "message": "must be 1 to 63 lower-case letters, digits or hyphens, with a letter or digit at both ends"
  },
  "instance_type": {
    "pattern": "\\Aml\\.[a-z0-9-]+\\.[a-z0-9]+\\Z",
    "message": "must be a SageMaker instance type, such as ml.m5.xlarge"
  },
  "github_actions": {
    "pattern": "\\A",
    "message": "must be false unless git_host is github: no other host runs the workflow"
  }
}{% endraw %}""")
CHECKS = {
{% set gate_metric = cookiecutter.gate_metric %}{% set problem_type = cookiecutter.problem_type %}    "gate_metric": {{ gate_metric in { 'binary_classification': ['auc', 'accuracy', 'precision', 'recall', 'f1'], 'multiclass_classification': ['accuracy', 'weighted_precision', 'weighted_recall', 'weighted_f1'], 'regression': ['r2', 'rmse', 'mse', 'mae']}[problem_type] }},
{% set gate_metric = cookiecutter.gate_metric %}{% set gate_threshold = cookiecutter.gate_threshold %}    "gate_threshold": {{ gate_metric in ['rmse', 'mse', 'mae'] or gate_threshold | float <= 1 }},
{% set target_column = cookiecutter.target_column %}    "data_database": {{ target_column == target_column | lower }},
{% set git_host = cookiecutter.git_host %}{% set github_actions = cookiecutter.github_actions %}    "github_actions": {{ not github_actions or git_host == 'github' }},
}

for name, rule in RULES.items():
    value = str(ANSWERS[name])
    if not re.match(rule["pattern"], value) or not CHECKS.get(name, True):
        sys.exit(f"{name}: {value!r} {rule['message']}")
