"""CodeBuild: projects, and builds that run here."""
