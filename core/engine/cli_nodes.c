/* SPDX-License-Identifier: BSD-3-Clause
 * cli_nodes.c - tsrun ip, whois: who is where
 */
#include "core/engine/cli_internal.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

const char *cli_first_ip(const json_t *peer)
{
	const char *ip = json_string_value(
		json_array_get(json_object_get(peer, "TailscaleIPs"), 0));

	return ip ? ip : "-";
}

static bool name_matches(const json_t *peer, const char *name)
{
	const char *dns = cli_text(peer, "DNSName");
	size_t full = strlen(dns), n = strlen(name);

	if (full > 0 && dns[full - 1] == '.')
		full--;
	if (n > 0 && name[n - 1] == '.')
		n--;
	if (n == full && strncasecmp(dns, name, n) == 0)
		return true;
	return n == strcspn(dns, ".") && strncasecmp(dns, name, n) == 0;
}

static bool has_ip(const json_t *peer, const char *ip)
{
	const json_t *list = json_object_get(peer, "TailscaleIPs");
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item) {
		if (strcmp(json_string_value(item), ip) == 0)
			return true;
	}
	return false;
}

/* The node of that name or address in a Status, borrowed; NULL: none. */
json_t *cli_find_node(const json_t *status, const char *name)
{
	json_t *self = json_object_get(status, "Self"), *peer;
	const char *key;

	if (name_matches(self, name) || has_ip(self, name))
		return self;
	json_object_foreach(json_object_get(status, "Peer"), key, peer) {
		if (name_matches(peer, name) || has_ip(peer, name))
			return peer;
	}
	return NULL;
}

int cli_ip(const struct cli *cli)
{
	json_t *body = NULL, *node, *item;
	size_t i;
	int code = cli_ask(cli, "GET", "/localapi/v0/status", &body);

	if (code)
		return code;
	node = cli_arg(cli, 0) ? cli_find_node(body, cli_arg(cli, 0))
			: json_object_get(body, "Self");
	if (!node || json_array_size(json_object_get(node, "TailscaleIPs")) ==
			     0) {
		code = cli_fail(cli_arg(cli, 0) ? "no such node"
						: "no address yet");
	} else if (cli->json) {
		cli_print_json(json_incref(json_object_get(node,
						       "TailscaleIPs")));
	} else {
		json_array_foreach(json_object_get(node, "TailscaleIPs"), i,
				   item)
			puts(json_string_value(item));
	}
	json_decref(body);
	return code;
}

/* -- whois ---------------------------------------------------------------- */
int cli_whois(const struct cli *cli)
{
	json_t *body = NULL, *node, *user, *item;
	char path[CLI_PATH_CAP];
	char *escaped;
	size_t i;
	int code;

	if (!cli_arg(cli, 0))
		return cli_fail("whois needs an address (IP or IP:port)");
	escaped = curl_easy_escape(NULL, cli_arg(cli, 0), 0);
	snprintf(path, sizeof(path), "/localapi/v0/whois?addr=%.200s",
		 escaped ? escaped : "");
	curl_free(escaped);
	code = cli_ask(cli, "GET", path, &body);
	if (code || cli->json)
		return code ? code : cli_print_json(body);
	node = json_object_get(body, "Node");
	user = json_object_get(body, "UserProfile");
	printf("Machine:\n  Name:  %s\n  ID:    %s\n", cli_text(node, "Name"),
	       cli_text(node, "StableID"));
	json_array_foreach(json_object_get(node, "Addresses"), i, item)
		printf("  Address: %s\n", json_string_value(item));
	json_array_foreach(json_object_get(node, "Tags"), i, item)
		printf("  Tag:   %s\n", json_string_value(item));
	printf("User:\n  Name:  %s\n", cli_text(user, "LoginName"));
	json_decref(body);
	return 0;
}
