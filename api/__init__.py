"""The REST API: a room for each subject with its routes, schemas and services.

`app` and `bootstrap` put the rooms together; `base` lies below all of them, and only `app` imports `edge`.
"""
