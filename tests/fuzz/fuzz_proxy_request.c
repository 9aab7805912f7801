/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_proxy_request.c - a client of the proxy, with the right password or not
 */
#include <stdlib.h>
#include <string.h>

#include "core/host/proxy_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void forward(const uint8_t *data, size_t len, bool is_local)
{
	uint8_t out[PROXY_INPUT_MAX + 64];
	size_t used = 0;
	int n = is_local ? ts_proxy_forward_local(data, len, out, sizeof(out),
						  &used)
			 : ts_proxy_forward(data, len, out, sizeof(out), &used);

	if (n > (int)sizeof(out) || (n >= 0 && used > len))
		abort();
}

static void datagram(const uint8_t *data, size_t len)
{
	char host[PROXY_HOST_CAP];
	const uint8_t *rest;
	size_t rest_len;
	uint16_t port;

	if (ts_proxy_read_datagram(data, len, host, &port, &rest, &rest_len))
		return;
	if (rest < data || rest + rest_len != data + len ||
	    !memchr(host, '\0', sizeof(host)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_proxy_parser p = {.user = "u", .password = "p",
				    .local_password = "l"};
	enum ts_proxy_step step = PROXY_SAY;
	size_t used;

	datagram(data, len);
	while (step == PROXY_SAY) {
		step = ts_proxy_parse(&p, data, len, &used);
		if (used > len || p.answer_len > sizeof(p.answer) ||
		    (step == PROXY_SAY && used == 0))
			abort();
		data += used;
		len -= used;
	}
	if (step != PROXY_CALL && step != PROXY_ASSOCIATE)
		return 0;
	if (!p.is_authorized || !memchr(p.host, '\0', sizeof(p.host)))
		abort();
	if (p.kind == PROXY_HTTP_FORWARD || p.kind == PROXY_LOCALAPI)
		forward(data, len, p.kind == PROXY_LOCALAPI);
	ts_proxy_answer(&p, -1);
	ts_proxy_answer(&p, 0);
	return 0;
}
