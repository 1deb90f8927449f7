"""The bot of the deployment at Telegram: notices go to chats, and commands come from them (row N1).

A chat is a channel of one user. What it asks for is done by the services that the routes call. May import what
`api.notifications` may.
"""
