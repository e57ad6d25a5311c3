"""Git repositories on disk, and the services that lend them: CodeCommit, CodeConnections."""
