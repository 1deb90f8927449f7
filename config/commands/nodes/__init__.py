"""Commands for the nodes of a cluster: emptied one by one, so that each can be stopped for an upgrade."""
