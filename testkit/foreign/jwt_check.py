"""What PyJWT says of an assertion: reads `{"assertion", "public_pem", "audience", "issuer"}` as JSON, prints its header and claims.

It ends with an error when the signature, `aud`, `iss`, `iat` or `exp` are not right, or one of them is missing (RFC 7523, section 3).
"""

import json
import sys

import jwt

asked = json.load(sys.stdin)
claims = jwt.decode(
    asked["assertion"],
    asked["public_pem"],
    algorithms=["RS256"],
    audience=asked["audience"],
    issuer=asked["issuer"],
    options={"require": ["iss", "aud", "iat", "exp"], "verify_signature": True},
)
print(json.dumps({"header": jwt.get_unverified_header(asked["assertion"]), "claims": claims}))
