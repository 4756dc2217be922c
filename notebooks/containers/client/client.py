import json
import sys
import urllib.request

body = json.dumps({"flight": json.loads(sys.argv[1])}).encode()
request = urllib.request.Request("http://flights:8000/v1/predictions", body)
request.add_header("Content-Type", "application/json")
answer = json.load(urllib.request.urlopen(request, timeout=30))
print("late:", answer["late"])
