/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_proxy_request.c - a client of the proxy, with the right password or not
 */
#include <stdlib.h>
#include <string.h>

#include "core/host/proxy_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void forward(const uint8_t *data, size_t len)
{
	uint8_t out[PROXY_INPUT_MAX + 64];
	size_t used;
	int n = ts_proxy_forward(data, len, out, sizeof(out), &used);

	if (n > (int)sizeof(out) || (n >= 0 && used > len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_proxy_parser p = {.user = "u", .password = "p"};
	enum ts_proxy_step step = PROXY_SAY;
	size_t used;

	while (step == PROXY_SAY) {
		step = ts_proxy_parse(&p, data, len, &used);
		if (used > len || p.answer_len > sizeof(p.answer) ||
		    (step == PROXY_SAY && used == 0))
			abort();
		data += used;
		len -= used;
	}
	if (step != PROXY_CALL)
		return 0;
	if (!p.is_authorized || !memchr(p.host, '\0', sizeof(p.host)))
		abort();
	if (p.kind == PROXY_HTTP_FORWARD)
		forward(data, len);
	ts_proxy_answer(&p, -1);
	ts_proxy_answer(&p, 0);
	return 0;
}
