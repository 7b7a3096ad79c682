"""Kazoo's own client library, unchanged, against the API: BASE_URL ACCOUNT_ID API_KEY."""
import sys

import kazoo
from kazoo.exceptions import KazooApiBadDataError, KazooApiError

base_url, account, api_key = sys.argv[1:]
client = kazoo.Client(api_key=api_key, base_url=base_url)
client.authenticate()
assert client.get_account(account)["data"]["id"] == account

wanted = {"name": "sdk", "uri": "http://127.0.0.1:9/calls", "hook": "channel_create", "crm": {"id": 7}}
made = client.create_webhook(account, wanted)["data"]
assert {key: made[key] for key in wanted} == wanted, made

listed = client.get_webhooks(account)
assert [hook["id"] for hook in listed["data"]] == [made["id"]], listed
assert listed["page_size"] == 1 and listed["status"] == "success"
assert client.get_webhook(account, made["id"])["data"] == made

made["name"] = "renamed"
made["http_verb"] = "get"
updated = client.update_webhook(account, made["id"], made)["data"]
assert updated["name"] == "renamed" and updated["http_verb"] == "get" and updated["crm"] == {"id": 7}

try:
    client.create_webhook(account, {"name": "no uri"})
    raise SystemExit("a webhook without uri was accepted")
except KazooApiBadDataError as error:
    assert error.field_errors["uri"]["required"]["message"] == "Field is required but missing", error

assert client.delete_webhook(account, made["id"])["data"]["id"] == made["id"]
assert client.get_webhooks(account)["data"] == []
try:
    client.get_webhook(account, made["id"])
    raise SystemExit("a deleted webhook was found")
except KazooApiError as error:
    assert "bad_identifier" in str(error), error
print("list, create, read, update and delete work")
