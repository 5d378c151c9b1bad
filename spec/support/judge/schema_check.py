# Checks JSON documents against schemas, by the library jsonschema:
#   schema_check.py DIRECTORY <<< '[{"schema": "clusters", "document": [...]}, ...]'
# Each that does not fit is a line; none is no output.
import datetime
import json
import re
import sys

import jsonschema

checker = jsonschema.FormatChecker()


@checker.checks("date-time", raises=ValueError)
def is_date_time(value):
    if isinstance(value, str):
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", value):
            raise ValueError(value)
        datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    return True


for number, each in enumerate(json.load(sys.stdin), 1):
    with open(f"{sys.argv[1]}/{each['schema']}.json") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema, format_checker=checker)
    for error in validator.iter_errors(each["document"]):
        path = "/".join(str(part) for part in error.absolute_path)
        print(f"{number} ({each['schema']}) at '{path}': {error.message[:300]}")
