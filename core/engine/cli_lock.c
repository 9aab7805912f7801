/* SPDX-License-Identifier: BSD-3-Clause
 * cli_lock.c - tsrun lock: is Tailnet Lock on, and whom does it trust?
 */
#include <stdio.h>

#include "core/engine/cli_internal.h"

static void print_keys(const json_t *keys)
{
	json_t *key;
	size_t i;

	puts("Trusted keys:");
	json_array_foreach (keys, i, key)
		printf("  %s  votes %d\n", cli_text(key, "Key"),
		       (int)json_integer_value(json_object_get(key, "Votes")));
}

static void print_peers(const json_t *peers)
{
	json_t *peer;
	size_t i;

	if (json_array_size(peers) == 0)
		return;
	puts("Nodes without a trusted signature:");
	json_array_foreach (peers, i, peer)
		printf("  %s  %s\n", cli_text(peer, "Name"),
		       cli_text(peer, "NodeKey"));
}

int cli_lock(const struct cli *cli)
{
	json_t *status = NULL;
	bool is_on;
	int code = cli_ask(cli, "GET", "/localapi/v0/tka/status", &status);

	if (code || cli->json)
		return code ? code : cli_print_json(status);
	is_on = json_is_true(json_object_get(status, "Enabled"));
	printf("Tailnet Lock: %s\n", is_on ? "on" : "off");
	printf("Signing key of this node: %s\n", cli_text(status, "PublicKey"));
	if (is_on) {
		printf("This node's key: %s, %s\n",
		       cli_text(status, "NodeKey"),
		       json_is_true(json_object_get(status, "NodeKeySigned"))
			       ? "signed"
			       : "not signed: peers do not speak with it");
		print_keys(json_object_get(status, "TrustedKeys"));
		print_peers(json_object_get(status, "FilteredPeers"));
	}
	json_decref(status);
	return 0;
}
