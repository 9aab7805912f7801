/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_stun.c - STUN responses as a client, requests as a server
 */
#include <stdlib.h>

#include "core/path/stun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t tx_id[STUN_TX_ID_LEN], back[STUN_RESPONSE_MAX_LEN];
	struct ts_addr addr, again;

	ts_stun_is_packet(data, len);
	ts_stun_read_request(data, len, tx_id);
	if (ts_stun_read_response(data, len, tx_id, &addr) != 0)
		return 0;
	len = ts_stun_write_response(tx_id, &addr, back);
	if (ts_stun_read_response(back, len, tx_id, &again) != 0 ||
	    !ts_addr_equal(&addr, &again))
		abort();
	return 0;
}
