"""The life of an Item as a program in Python sees it that knows nothing of the simulator: Plaid's own client, PyJWT for webhooks.

Usage: life.py BASE_URL. Prints one JSON object with what it saw. What a bank and a user do is asked of the simulator's controls.
"""

import hashlib
import json
import queue
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import plaid
from plaid.api import plaid_api
from plaid.model.accounts_get_request import AccountsGetRequest
from plaid.model.country_code import CountryCode
from plaid.model.item_public_token_exchange_request import ItemPublicTokenExchangeRequest
from plaid.model.item_remove_request import ItemRemoveRequest
from plaid.model.link_token_create_request import LinkTokenCreateRequest
from plaid.model.link_token_create_request_user import LinkTokenCreateRequestUser
from plaid.model.products import Products
from plaid.model.sandbox_item_reset_login_request import SandboxItemResetLoginRequest
from plaid.model.sandbox_public_token_create_request import SandboxPublicTokenCreateRequest
from plaid.model.sandbox_public_token_create_request_options import SandboxPublicTokenCreateRequestOptions
from plaid.model.transactions_sync_request import TransactionsSyncRequest
from plaid.model.webhook_verification_key_get_request import WebhookVerificationKeyGetRequest

base_url = sys.argv[1]
client = plaid_api.PlaidApi(
    plaid.ApiClient(plaid.Configuration(host=base_url, api_key={"clientId": "python", "secret": "python"}))
)
received: "queue.Queue[tuple[str, bytes]]" = queue.Queue()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        received.put((self.headers["plaid-verification"], body))

    def log_message(self, *_):
        pass


receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()


def control(path, body):
    request = urllib.request.Request(
        base_url + "/_sim" + path, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def verified():
    """The next webhook, its signature and its body's hash verified."""
    token, body = received.get(timeout=30)
    header = jwt.get_unverified_header(token)
    key = client.webhook_verification_key_get(WebhookVerificationKeyGetRequest(key_id=header["kid"])).key
    jwk = {name: key[name] for name in ("kty", "crv", "x", "y", "kid", "alg", "use")}
    claims = jwt.decode(token, jwt.PyJWK(jwk).key, algorithms=["ES256"])
    assert abs(time.time() - claims["iat"]) < 300
    assert claims["request_body_sha256"] == hashlib.sha256(body).hexdigest()
    return json.loads(body)


early = []


def webhook(code):
    """The next webhook of this code. Two that are on their way at once may come in either order."""
    for waiting in early:
        if waiting["webhook_code"] == code:
            early.remove(waiting)
            return waiting
    while True:
        came = verified()
        if came["webhook_code"] == code:
            return came
        early.append(came)


def refusal(call):
    try:
        call()
    except plaid.ApiException as error:
        return json.loads(error.body)["error_code"]
    return None


seen = {}
link_token = client.link_token_create(
    LinkTokenCreateRequest(
        client_name="Python",
        language="en",
        country_codes=[CountryCode("US")],
        products=[Products("transactions")],
        user=LinkTokenCreateRequestUser(client_user_id="somebody"),
    )
)
seen["link_token"] = link_token.link_token
public_token = client.sandbox_public_token_create(
    SandboxPublicTokenCreateRequest(
        institution_id="ins_109508",
        initial_products=[Products("transactions")],
        options=SandboxPublicTokenCreateRequestOptions(
            webhook=f"http://127.0.0.1:{receiver.server_port}/plaid"
        ),
    )
).public_token
exchanged = client.item_public_token_exchange(ItemPublicTokenExchangeRequest(public_token=public_token))
access_token, item_id = exchanged.access_token, exchanged.item_id
seen["item_id"] = item_id

control(f"/items/{item_id}/advance", {"to": "idle"})
webhook("INITIAL_UPDATE")
webhook("HISTORICAL_UPDATE")
added, cursor, pages = [], "", 0
while True:
    page = client.transactions_sync(
        TransactionsSyncRequest(access_token=access_token, cursor=cursor, count=100)
    )
    added += [row.transaction_id for row in page.added]
    cursor, pages = page.next_cursor, pages + 1
    if not page.has_more:
        break
seen["transactions"], seen["pages"] = sorted(added), pages

news = control(
    f"/items/{item_id}/transactions", {"add": [{"amount": 12.34, "name": "News"}], "notify": True}
)["added"]
webhook("SYNC_UPDATES_AVAILABLE")
delta = client.transactions_sync(TransactionsSyncRequest(access_token=access_token, cursor=cursor))
seen["news"] = [row.transaction_id for row in delta.added] == news

client.sandbox_item_reset_login(SandboxItemResetLoginRequest(access_token=access_token))
seen["error_webhook"] = webhook("ERROR")["error"]["error_code"]
seen["broken"] = refusal(lambda: client.accounts_get(AccountsGetRequest(access_token=access_token)))
control(f"/items/{item_id}/repair", {"webhook": True})
webhook("LOGIN_REPAIRED")
seen["accounts"] = len(client.accounts_get(AccountsGetRequest(access_token=access_token)).accounts)

client.item_remove(ItemRemoveRequest(access_token=access_token))
seen["removed"] = refusal(lambda: client.accounts_get(AccountsGetRequest(access_token=access_token)))
print(json.dumps(seen))
