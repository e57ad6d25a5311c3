"""CloudFormation for the sandbox: templates, handlers of resources, operations on stacks."""
