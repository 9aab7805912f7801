/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_broker.c - both directions of the broker's messages
 *
 * First byte: even is a request, odd a reply. What was read must come out of
 * the writer as the same bytes: there is one form of each message.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/broker/broker_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must_be_same(const uint8_t *in, size_t in_len, const uint8_t *out,
			 int out_len)
{
	if (out_len < 0 || (size_t)out_len != in_len ||
	    memcmp(in, out, in_len) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t out[TS_BROKER_MESSAGE_MAX + TS_BROKER_ANSWER_MAX];
	struct ts_broker_request req;
	struct ts_broker_reply rep;

	if (len < 1)
		return 0;
	if (data[0] % 2 == 0) {
		if (ts_broker_read_request(data + 1, len - 1, &req) == 0)
			must_be_same(data + 1, len - 1, out,
				     ts_broker_write_request(&req, out,
							     sizeof(out)));
	} else if (ts_broker_read_reply(data + 1, len - 1, &rep) == 0) {
		must_be_same(data + 1, len - 1, out,
			     ts_broker_write_reply(&rep, out, sizeof(out)));
	}
	return 0;
}
