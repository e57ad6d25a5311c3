"""Project templates for governed machine learning on Amazon SageMaker."""

from importlib.metadata import version

__version__ = version("seedbed")
