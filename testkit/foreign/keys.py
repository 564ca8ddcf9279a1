"""Prints a new key pair for tests as JSON: `python keys.py RS256|PS256|ES256`."""

import json
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import import_key

algorithm = sys.argv[1]
if algorithm.startswith("ES"):
    kind, private = "EC", ec.generate_private_key(ec.SECP256R1())
else:
    kind, private = "RSA", rsa.generate_private_key(public_exponent=65537, key_size=2048)
private_pem = private.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
public_pem = private.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
).decode()
key_id = "key-of-the-client"
jwk = import_key(public_pem, kind).as_dict(private=False) | {"kid": key_id, "alg": algorithm, "use": "sig"}
print(json.dumps({"private_pem": private_pem, "public_pem": public_pem, "key_id": key_id, "jwk": jwk}))
