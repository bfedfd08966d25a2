"""An OpenAI-compatible chat server with planned faults, run as a process of its own: `python chat_server.py`.

`POST /plan` sets what the n-th request of each question meets; `GET /log` tells what was received. Prints its port first.
"""

import hashlib
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TREND = [round(hour / 23, 3) for hour in range(24)]
GOOD = {"description": "Rows of houses with gardens; housing.", "intensity": 41}
STATE = {"plan": ["ok"], "met": {}, "log": [], "under_way": 0, "most_under_way": 0, "hold_s": 0.0, "hang_s": 1.0}
LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, text, headers=()):
        data = text.encode()
        try:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            pass  # a client that lost patience

    def chat(self, content, finish="stop"):
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
        usage = {"prompt_tokens": 500, "completion_tokens": 40}
        self.reply(200, json.dumps({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}))

    def do_GET(self):
        with LOCK:
            self.reply(200, json.dumps({"log": STATE["log"], "most_under_way": STATE["most_under_way"]}))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/plan":
            with LOCK:
                STATE.update({"met": {}, "log": [], "most_under_way": 0, "hold_s": 0.0} | body)
            return self.reply(200, "{}")
        question = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
        with LOCK:
            number = STATE["met"].get(question, 0)
            STATE["met"][question] = number + 1
            behaviour = STATE["plan"][min(number, len(STATE["plan"]) - 1)]
            STATE["under_way"] += 1
            STATE["most_under_way"] = max(STATE["most_under_way"], STATE["under_way"])
            told = {key: body[key] for key in ("model", "max_tokens", "temperature")}
            told |= {"path": self.path, "authorization": self.headers.get("Authorization"), "behaviour": behaviour}
            told |= {"pictures": sum(part["type"] == "image_url" for part in body["messages"][1]["content"])}
            told |= {"json_mode": "response_format" in body, "question": question}
            STATE["log"].append(told)
        time.sleep(STATE["hold_s"])
        with LOCK:  # before the answer: a client that has it may ask again before this thread goes on
            STATE["under_way"] -= 1
        self.behave(behaviour, body)

    def behave(self, behaviour, body):
        wants_trend = '"trend"' in body["messages"][1]["content"][0]["text"]
        good = GOOD | ({"trend": TREND} if wants_trend else {})
        if behaviour == "ok":
            return self.chat(json.dumps(good))
        if behaviour == "fenced":
            return self.chat(f"Here it is:\n```json\n{json.dumps(good)[:-1]},}}\n```\nI hope this helps.")
        if behaviour == "prose":
            return self.chat("I see many houses. The activity is about forty.")
        if behaviour == "cut off":
            return self.chat(json.dumps(good), finish="length")
        if behaviour == "half":
            return self.chat(json.dumps(good)[:30], finish="length")
        if behaviour == "no choices":
            return self.reply(200, json.dumps({"object": "chat.completion", "choices": []}))
        if behaviour == "html":
            return self.reply(200, "<html>gateway</html>")
        if behaviour == "hang":
            time.sleep(STATE["hang_s"])
            return self.chat(json.dumps(good))
        if behaviour == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            try:
                for _ in range(100):
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.02)
            except OSError:
                pass
            self.close_connection = True
            return None
        if behaviour == "hang up":
            self.close_connection = True
            return None
        if behaviour == "429":
            return self.reply(429, '{"error": {"message": "slow down"}}', [("Retry-After", "7")])
        if behaviour == "no json mode":
            if "response_format" in body:
                return self.reply(400, '{"error": {"message": "unknown field response_format"}}')
            return self.chat(json.dumps(good))
        if behaviour == "echo key":
            return self.reply(422, json.dumps({"error": f"you sent {self.headers.get('Authorization')}"}))
        if behaviour == "echo key in answer":
            return self.chat(json.dumps(good | {"note": self.headers.get("Authorization")}))
        if behaviour == "redirect":
            return self.reply(307, "", [("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")])
        return self.reply(int(behaviour), '{"error": "planned"}')


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    # The test closes our input when it is done, even where it dies.
    threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    server.serve_forever()
