/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_tka_replies.c - what the control server answers about Tailnet Lock
 */
#include <stddef.h>
#include <stdint.h>

#include "core/node/node_lock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *json = (const char *)data;
	struct node_lock_bootstrap_reply bootstrap;
	struct node_lock_offer_reply offer;
	struct ts_tka_hash head;

	if (node_lock_read_bootstrap(json, len, &bootstrap) == 0)
		node_lock_bootstrap_deinit(&bootstrap);
	if (node_lock_read_offer(json, len, &offer) == 0)
		node_lock_offer_deinit(&offer);
	node_lock_read_head(json, len, &head);
	return 0;
}
