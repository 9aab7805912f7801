/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_c2n.c - a request of the control server to this node, and its answer
 *
 * The node has never been started; what it knows of itself is what there is.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/c2n.h"
#include "core/crypto/secret.h"
#include "core/localapi/c2n_routes.h"

static uint64_t wall_clock_ns(void *ctx)
{
	(void)ctx;
	return 1750000000ull * 1000000000u;
}

static struct ts_node *make_node(void)
{
	static const struct ts_node_io io = {.wall_clock_ns = wall_clock_ns};
	struct ts_prefs prefs;
	struct ts_node_config config = {.prefs = &prefs, .backend_log_id = ""};
	struct ts_node *node;

	if (ts_crypto_init())
		abort();
	ts_prefs_init_default(&prefs);
	prefs.hostname = strdup("fuzz");
	prefs.control_url = strdup("http://127.0.0.1");
	ts_private_key_generate(&config.machine_key);
	node = ts_node_new(&config, &io, NULL, 1000);
	ts_prefs_deinit(&prefs);
	if (!node)
		abort();
	return node;
}

static void serve(void *ctx, const struct ts_c2n_request *request,
		  struct ts_c2n_reply *reply)
{
	ts_localapi_c2n(ctx, NULL, NULL, request, reply, 1750000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct ts_node *node;
	size_t out_len;
	char *out;

	if (!node)
		node = make_node();
	if (ts_c2n_answer(data, len, serve, node, &out, &out_len) == 0)
		free(out);
	return 0;
}
