/* SPDX-License-Identifier: BSD-3-Clause
 * cli.c - tsrun status|ip|whois|ping|netcheck: questions to a running node
 *
 * Text for people, the LocalAPI's own JSON with --json. The stock tailscale
 * CLI can be pointed at the same socket and knows more verbs.
 */
#include "core/engine/cli.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/addr.h"
#include "core/base/err.h"
#include "core/engine/local_client.h"

enum { EXIT_USAGE = 64, PING_COUNT = 10, PING_PAUSE_S = 1, PATH_CAP = 512 };

struct cli {
	char *socket;
	bool json;
	const char *arg; /* address or name, or NULL */
	int ping_count;
};

static int fail(const char *text)
{
	fprintf(stderr, "tsrun: %s\n", text);
	return 1;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static int ask(const struct cli *cli, const char *method, const char *path,
	       json_t **out)
{
	char err[256] = "";
	int code = local_client_request(cli->socket, method, path, out, err);

	return code ? fail(err) : 0;
}

static int print_json(json_t *body)
{
	json_dumpf(body, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(body);
	return 0;
}

/* -- status ------------------------------------------------------------------ */
static const char *first_ip(const json_t *peer)
{
	const char *ip = json_string_value(
		json_array_get(json_object_get(peer, "TailscaleIPs"), 0));

	return ip ? ip : "-";
}

static void print_path(const json_t *peer)
{
	const char *addr = text_of(peer, "CurAddr");
	const char *relay = text_of(peer, "PeerRelay");

	if (!json_is_true(json_object_get(peer, "Online")))
		printf("offline");
	else if (!json_is_true(json_object_get(peer, "Active")))
		printf("idle");
	else if (*addr)
		printf("active; direct %s", addr);
	else if (*relay)
		printf("active; peer-relay %s", relay);
	else
		printf("active; relay \"%s\"", text_of(peer, "Relay"));
	printf(", tx %lld rx %lld\n",
	       (long long)json_integer_value(json_object_get(peer, "TxBytes")),
	       (long long)json_integer_value(json_object_get(peer,
							     "RxBytes")));
}

static void print_peer(const json_t *peer, const json_t *users)
{
	char id[24];
	const char *name = text_of(peer, "DNSName");

	snprintf(id, sizeof(id), "%lld",
		 (long long)json_integer_value(json_object_get(peer,
							       "UserID")));
	printf("%-16s %-24.*s %-20s ", first_ip(peer),
	       (int)strcspn(name, "."), name,
	       text_of(json_object_get(users, id), "LoginName"));
}

static int cmd_status(const struct cli *cli)
{
	json_t *body = NULL, *users, *peer;
	const char *state, *key;
	int code = ask(cli, "GET", "/localapi/v0/status", &body);

	if (code || cli->json)
		return code ? code : print_json(body);
	state = text_of(body, "BackendState");
	users = json_object_get(body, "User");
	if (strcmp(state, "Running") != 0)
		printf("# state: %s %s\n", state, text_of(body, "AuthURL"));
	print_peer(json_object_get(body, "Self"), users);
	printf("this node\n");
	json_object_foreach(json_object_get(body, "Peer"), key, peer) {
		print_peer(peer, users);
		print_path(peer);
	}
	code = strcmp(state, "Running") != 0;
	json_decref(body);
	return code;
}

/* -- addresses ---------------------------------------------------------------- */
static bool name_matches(const json_t *peer, const char *name)
{
	const char *dns = text_of(peer, "DNSName");
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
static json_t *find_node(const json_t *status, const char *name)
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

static int cmd_ip(const struct cli *cli)
{
	json_t *body = NULL, *node, *item;
	size_t i;
	int code = ask(cli, "GET", "/localapi/v0/status", &body);

	if (code)
		return code;
	node = cli->arg ? find_node(body, cli->arg)
			: json_object_get(body, "Self");
	if (!node || json_array_size(json_object_get(node, "TailscaleIPs")) ==
			     0) {
		code = fail(cli->arg ? "no such node" : "no address yet");
	} else if (cli->json) {
		print_json(json_incref(json_object_get(node,
						       "TailscaleIPs")));
	} else {
		json_array_foreach(json_object_get(node, "TailscaleIPs"), i,
				   item)
			puts(json_string_value(item));
	}
	json_decref(body);
	return code;
}

/* -- whois -------------------------------------------------------------------- */
static int cmd_whois(const struct cli *cli)
{
	json_t *body = NULL, *node, *user, *item;
	char path[PATH_CAP];
	char *escaped;
	size_t i;
	int code;

	if (!cli->arg)
		return fail("whois needs an address (IP or IP:port)");
	escaped = curl_easy_escape(NULL, cli->arg, 0);
	snprintf(path, sizeof(path), "/localapi/v0/whois?addr=%.200s",
		 escaped ? escaped : "");
	curl_free(escaped);
	code = ask(cli, "GET", path, &body);
	if (code || cli->json)
		return code ? code : print_json(body);
	node = json_object_get(body, "Node");
	user = json_object_get(body, "UserProfile");
	printf("Machine:\n  Name:  %s\n  ID:    %s\n", text_of(node, "Name"),
	       text_of(node, "StableID"));
	json_array_foreach(json_object_get(node, "Addresses"), i, item)
		printf("  Address: %s\n", json_string_value(item));
	json_array_foreach(json_object_get(node, "Tags"), i, item)
		printf("  Tag:   %s\n", json_string_value(item));
	printf("User:\n  Name:  %s\n", text_of(user, "LoginName"));
	json_decref(body);
	return 0;
}

/* -- ping --------------------------------------------------------------------- */
static int resolve_target(const struct cli *cli, char ip[static TS_IP_TEXT_CAP])
{
	json_t *body = NULL, *node;
	struct ts_ip addr;
	int code;

	if (ts_ip_parse(cli->arg, &addr) == 0) {
		ts_ip_format(&addr, ip);
		return 0;
	}
	code = ask(cli, "GET", "/localapi/v0/status", &body);
	if (code)
		return code;
	node = find_node(body, cli->arg);
	if (node)
		snprintf(ip, TS_IP_TEXT_CAP, "%s", first_ip(node));
	json_decref(body);
	return node ? 0 : fail("no such node");
}

static bool print_pong(const json_t *body)
{
	const char *err = text_of(body, "Err");
	const char *endpoint = text_of(body, "Endpoint");
	const char *relay = text_of(body, "PeerRelay");
	char via[128];
	double ms = 1e3 * json_real_value(json_object_get(body,
							  "LatencySeconds"));

	if (*err) {
		printf("no pong from %s: %s\n", text_of(body, "IP"), err);
		return false;
	}
	if (*endpoint)
		snprintf(via, sizeof(via), "%s", endpoint);
	else if (*relay)
		snprintf(via, sizeof(via), "peer-relay(%s)", relay);
	else
		snprintf(via, sizeof(via), "DERP(%s)",
			 text_of(body, "DERPRegionCode"));
	printf("pong from %s (%s) via %s in %.2f ms\n",
	       text_of(body, "NodeName"), text_of(body, "IP"), via, ms);
	return true;
}

/* Until a pong came by a direct path, or the count is over. */
static int cmd_ping(const struct cli *cli)
{
	char ip[TS_IP_TEXT_CAP], path[PATH_CAP];
	int code, answered = 0;

	if (!cli->arg)
		return fail("ping needs a name or an address");
	code = resolve_target(cli, ip);
	if (code)
		return code;
	snprintf(path, sizeof(path), "/localapi/v0/ping?ip=%s&type=disco", ip);
	for (int i = 0; i < cli->ping_count; i++) {
		json_t *body = NULL;
		bool ok, direct;

		if (i > 0)
			sleep(PING_PAUSE_S);
		code = ask(cli, "POST", path, &body);
		if (code)
			return code;
		direct = *text_of(body, "Endpoint") != '\0';
		ok = *text_of(body, "Err") == '\0';
		answered += ok;
		if (cli->json)
			print_json(body);
		else {
			print_pong(body);
			json_decref(body);
		}
		fflush(stdout);
		if (ok && direct)
			break;
	}
	return answered > 0 ? 0 : 1;
}

/* -- netcheck ----------------------------------------------------------------- */
static const char *yes_no(const json_t *value)
{
	if (!json_is_boolean(value))
		return "unknown";
	return json_is_true(value) ? "yes" : "no";
}

static const char *region_text(const json_t *map, const char *id,
			       const char *key)
{
	const json_t *regions = json_object_get(map, "Regions");

	return text_of(json_object_get(regions, id), key);
}

static void print_family(const char *name, const json_t *body, const char *key,
			 const char *global)
{
	const char *addr = text_of(body, global);

	printf("%s: %s%s%s\n", name, yes_no(json_object_get(body, key)),
	       *addr ? ", " : "", addr);
}

static void print_mapping(const json_t *body)
{
	static const char *const kinds[] = {"UPnP", "PMP", "PCP"};
	const char *mapped = text_of(body, "PortMapped");
	bool any = false;

	printf("Port mapping:");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!json_is_true(json_object_get(body, kinds[i])))
			continue;
		printf(" %s", kinds[i]);
		any = true;
	}
	if (*mapped)
		printf("; %s leads here", mapped);
	puts(any ? "" : " none");
}

static void print_report(const json_t *body, const json_t *map)
{
	json_int_t home = json_integer_value(
		json_object_get(body, "PreferredDERP"));
	const char *id;
	char key[24];
	json_t *ns;

	printf("UDP: %s\n", yes_no(json_object_get(body, "UDP")));
	print_family("IPv4", body, "IPv4", "GlobalV4");
	print_family("IPv6", body, "IPv6", "GlobalV6");
	printf("Mapping varies by destination: %s\n",
	       yes_no(json_object_get(body, "MappingVariesByDestIP")));
	print_mapping(body);
	snprintf(key, sizeof(key), "%lld", (long long)home);
	printf("Home DERP: %s (%s)\n", region_text(map, key, "RegionCode"), key);
	json_object_foreach(json_object_get(body, "RegionLatency"), id, ns)
		printf("  %-8s %8.2f ms  %s\n",
		       region_text(map, id, "RegionCode"),
		       (double)json_integer_value(ns) / 1e6,
		       region_text(map, id, "RegionName"));
}

static int cmd_netcheck(const struct cli *cli)
{
	json_t *body = NULL, *map = NULL;
	int code = ask(cli, "POST", "/localapi/v0/netcheck", &body);

	if (code || cli->json)
		return code ? code : print_json(body);
	code = ask(cli, "GET", "/localapi/v0/derpmap", &map);
	if (!code)
		print_report(body, map);
	json_decref(map);
	json_decref(body);
	return code;
}

static const struct {
	const char *verb;
	int (*run)(const struct cli *cli);
} commands[] = {
	{"status", cmd_status},
	{"ip", cmd_ip},
	{"whois", cmd_whois},
	{"ping", cmd_ping},
	{"netcheck", cmd_netcheck},
};

static int parse(struct cli *cli, const char **hostname, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			cli->json = true;
		} else if (strcmp(argv[i], "--socket") == 0 && i + 1 < argc) {
			cli->socket = strdup(argv[++i]);
		} else if (strcmp(argv[i], "--hostname") == 0 && i + 1 < argc) {
			*hostname = argv[++i];
		} else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
			cli->ping_count = atoi(argv[++i]);
		} else if (argv[i][0] == '-' || cli->arg) {
			fprintf(stderr, "tsrun: %s: unexpected argument %s\n",
				argv[0], argv[i]);
			return EXIT_USAGE;
		} else {
			cli->arg = argv[i];
		}
	}
	return 0;
}

int cli_main(int argc, char **argv)
{
	struct cli cli = {.ping_count = PING_COUNT};
	const char *hostname = getenv("TSNET_HOSTNAME");
	char err[256] = "";
	int code = parse(&cli, &hostname, argc, argv);

	if (!code && !cli.socket &&
	    local_client_find(hostname, &cli.socket, err))
		code = fail(err);
	for (size_t i = 0; !code && i < ARRAY_LEN(commands); i++) {
		if (strcmp(argv[0], commands[i].verb) == 0) {
			code = commands[i].run(&cli);
			break;
		}
	}
	free(cli.socket);
	return code;
}
