/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_serve_http.c - requests to a web server of ours, one after the other,
 * with their bodies; and the same bytes as a backend's answer
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/serve/proxy_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* All that it takes of the rest; SIZE_MAX: it ends here. */
static size_t run_body(struct ts_http_body *body, const uint8_t *data,
		       size_t len)
{
	size_t at = 0;

	while (!body->is_done) {
		const uint8_t *payload;
		size_t payload_len;
		ssize_t n = ts_http_body_next(body, data + at, len - at,
					      &payload, &payload_len);

		if (n <= 0)
			return SIZE_MAX;
		if ((size_t)n > len - at || payload < data ||
		    payload + payload_len > data + len)
			abort();
		at += (size_t)n;
	}
	return at;
}

/* No line of a head that we write is the client's to end. */
static void check_head(const struct ts_byte_queue *q)
{
	struct ts_http1_head head;
	int err = ts_http1_read_request(ts_byte_queue_data(q),
					ts_byte_queue_len(q), &head);

	if (err && err != -EMSGSIZE)
		abort();
	if (!err && head.head_len != ts_byte_queue_len(q))
		abort();
}

static void pass_on(const struct ts_serve_request *req)
{
	const struct ts_serve_caller caller = {
		.ip = "100.64.0.1", .has_user = true, .login = "a",
		.name = req->path, .app_caps = "{}"};
	struct ts_serve_target target;
	struct ts_byte_queue q;
	char *path;

	if (ts_serve_target_parse("http://h:1/x?y", &target))
		abort();
	path = ts_serve_target_path(&target, "/", req);
	ts_byte_queue_init(&q, 1 << 20);
	if (path && ts_serve_write_request(&q, req, &target, path,
					   &caller) == 0 &&
	    *req->path)
		check_head(&q);
	ts_byte_queue_deinit(&q);
	free(path);
}

static void answer(const uint8_t *data, size_t len)
{
	struct ts_http1_head head;
	struct ts_http_body body;
	struct ts_serve_answer out = {.head = &head, .body = &body};
	struct ts_byte_queue q;

	if (ts_http1_read_response(data, len, &head) ||
	    ts_http_body_of_response(&head, false, &body))
		return;
	ts_byte_queue_init(&q, 1 << 20);
	if (ts_serve_write_answer(&q, &out))
		abort();
	ts_byte_queue_deinit(&q);
	(void)run_body(&body, data + head.head_len, len - head.head_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_serve_request req;

	answer(data, len);
	while (ts_serve_request_read(data, len, &req) == 0) {
		size_t head_len = req.head.head_len, body_len;

		if (head_len > len || strlen(req.path) > req.raw_path_len)
			abort();
		pass_on(&req);
		body_len = run_body(&req.body, data + head_len,
				    len - head_len);
		ts_serve_request_deinit(&req);
		if (body_len == SIZE_MAX)
			break;
		data += head_len + body_len;
		len -= head_len + body_len;
	}
	return 0;
}
