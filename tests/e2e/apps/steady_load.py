"""N requests one after the other, each of which must succeed: URL BODY N"""
import sys
import urllib.request

url, body, count = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])
for number in range(count):
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.read() == body
    if number == 10:
        print("begun", flush=True)
print(count, "ok")
