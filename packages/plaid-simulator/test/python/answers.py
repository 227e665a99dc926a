"""Reads answers of the simulator as Plaid's own client for Python does, whose models refuse what is missing, null, of another type or not in an enum.

Usage: answers.py ANSWERS UNREAD. ANSWERS is a JSON object of endpoint paths to answer bodies; UNREAD becomes one of what could not be read, path to
the client's words.
"""

import json
import sys

import plaid
from plaid.api import plaid_api

client = plaid_api.PlaidApi(plaid.ApiClient(plaid.Configuration(host="http://127.0.0.1")))
readers = {
    endpoint.settings["endpoint_path"]: endpoint.settings["response_type"]
    for endpoint in vars(client).values()
    if hasattr(endpoint, "settings")
}


class Answer:
    """What the client takes from its HTTP library."""

    def __init__(self, body):
        self.data = json.dumps(body)


unread = {}
with open(sys.argv[1]) as file:
    answers = json.load(file)
for path, body in answers.items():
    if path not in readers:
        unread[path] = "not known to this client"
        continue
    try:
        client.api_client.deserialize(Answer(body), readers[path], _check_type=True)
    except (plaid.ApiException, plaid.OpenApiException, TypeError, ValueError) as error:
        unread[path] = f"{type(error).__name__}: {error}"
with open(sys.argv[2], "w") as file:
    json.dump(unread, file)
