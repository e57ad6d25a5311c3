"""CodePipeline: pipelines of type V1 and V2, and their executions."""
