"""SageMaker: projects, Studio, registry, monitoring, and jobs that run here."""
