"""Requests and answers of contract 3.3, one module for each part of the API."""
