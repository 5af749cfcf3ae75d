"""The examples of the original product's two pages, as they are printed; what the print garbled is mended.

Mended were lost indentation and line ends, a missing ``import`` or ``except`` line, quotation marks, and
what a reader is told to put in: the broker, the address of the API.
"""

ECHO = """\
def handle(req):
    return {
        "status_code": 200,
        "body": req.body.decode('utf-8')
    }
"""

ECHO_ASYNC = """\
import asyncio

async def handle(req):
    await asyncio.sleep(1)
    return {
        "status_code": 200,
        "body": f"Asynchronous response: {req.body.decode('utf-8')}"
    }
"""

# The 3.9 page's name for it.
ECHO_HANDLE_ASYNC = ECHO_ASYNC.replace("async def handle(", "async def handle_async(")

SECRET = """\
import function.secrets as secrets

def handle(req):
    # ...
    if secrets.exists("my_password"):
        my_secret = secrets.get("my_password")
        # ...
        return {"body": my_secret}
    # ...
"""

STDERR = """\
import sys

def handle(req):
    sys.stderr.write("My log entry!\\n")
"""

LOGGING = """\
import logging
log = logging.getLogger("my_logger")
log.setLevel(logging.INFO)

def handle(req):
    log.error("ERROR")
    log.info("INFO")
    log.debug("DEBUG")  # This line wont' be logged because Logging Level is INFO
"""

ADDER = """\
def handle(req):
    # Gets function input
    body = req.body.decode("utf-8")

    # Parses input as a comma-separated list of numbers
    numbers = body.split(',')

    try:
        # Tries to convert all values to numbers
        numbers = [float(i) for i in numbers]
        response_msg = sum(numbers)
        status_code = 200
    except Exception:
        # Throws an error if something is not a number
        response_msg = "Invalid input format!"
        status_code = 400

    return {
        "status_code": status_code,
        "body": response_msg,
    }
"""

MQTT_310 = """\
import paho.mqtt.client as mqtt

MQTT_BROKER = "127.0.0.1"
MQTT_PORT = %d


def handle(req):
    body = req.body.decode('utf-8')

    client = mqtt.Client()
    client.connect(MQTT_BROKER, MQTT_PORT)
    msg_info = client.publish("functions/python", body, qos=0)
    msg_info.wait_for_publish()

    return {
        "status_code": 200,
        "body": "Message published!"
    }
"""

MQTT_39 = """\
import paho.mqtt.client as mqtt

MQTT_BROKER = "127.0.0.1"
MQTT_PORT = %d

def handle(req):
    body = req.body.decode('utf-8')

    client = mqtt.Client()
    client.connect(MQTT_BROKER, MQTT_PORT, 60)
    client.loop_start()
    msg_info = client.publish("functions/python", body, qos=0)

    return {
        "status_code": 200,
        "body": "Message published!"
    }
"""

THING_39 = """\
import requests
from swx.auth.token import get_token
from function import secrets

API_URL = '%s'
SPACE = 'examples'   # Change it to your Space name
CATEGORY = 'rooms'
THING_ID = '01'
# We'll use a Thing credentials to request the access token
CLIENT_ID = 'examples::01'

def handle(req):

    # Get the client secret from the Secrets Storage.
    # This avoids hardcoding the secret in the code.
    client_secret = secrets.get("my_secret_name")

    # Request token with the Thing's credentials and 'thing.update' scope.
    # Token will be automatically revoked at the end of the context manager block.
    with get_token(CLIENT_ID, client_secret, ["thing.update"]) as token:
        url = f"{API_URL}/spaces/{SPACE}/categories/{CATEGORY}/things/{THING_ID}/properties"
        requests.put(url,
                     headers={"Authorization": f"Bearer {token.access_token}"},
                     json={"temperature": 27})
    return {
        "status_code": 200,
        "body": "Property updated!"
    }
"""
