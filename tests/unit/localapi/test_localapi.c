/* SPDX-License-Identifier: BSD-3-Clause
 * test_localapi.c - every route of the LocalAPI: shapes, errors, hostile input
 *
 * The node is a real one on the simulated network of node_sim.h.
 */
#include "unit/localapi/json_at.h"
#include "unit/node/node_sim.h"

#include "core/base/err.h"
#include "core/localapi/localapi.h"

#define API "/localapi/v0/"

struct answer {
	unsigned calls;
	int status;
	char type[64];
	char *text;
	json_t *json;
};

struct args {
	const char *names[4], *values[4];
};

/* The one of the test's node; made with its first request. */
static struct ts_localapi *the_api;

static struct ts_localapi *api_of(struct sim *sim)
{
	static const struct ts_localapi_env env;

	if (!the_api)
		the_api = ts_localapi_new(sim->nodes[0].node, &env, NULL);
	assert_non_null(the_api);
	return the_api;
}

static int free_api(void **state)
{
	(void)state;
	ts_localapi_free(the_api);
	the_api = NULL;
	return 0;
}

static const char *arg_of(void *ctx, const char *name)
{
	const struct args *args = ctx;

	for (size_t i = 0; i < 4 && args && args->names[i]; i++) {
		if (strcmp(args->names[i], name) == 0)
			return args->values[i];
	}
	return NULL;
}

static void on_done(void *ctx, const struct ts_localapi_reply *reply)
{
	struct answer *a = ctx;

	a->calls++;
	a->status = reply->status;
	snprintf(a->type, sizeof(a->type), "%s",
		 reply->content_type ? reply->content_type : "");
	assert_int_equal(reply->body_len,
			 reply->body ? strlen(reply->body) : 0);
	a->text = reply->body;
	if (strcmp(a->type, "application/json") == 0) {
		a->json = json_loads(a->text, JSON_DECODE_ANY, NULL);
		assert_non_null(a->json);
	}
}

static void answer_deinit(struct answer *a)
{
	free(a->text);
	json_decref(a->json);
	memset(a, 0, sizeof(*a));
}

static const char *header_of(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "Host") == 0 ? "local-tailscaled.sock" : NULL;
}

static struct answer ask_full(struct sim *sim,
			      const struct ts_localapi_request *request)
{
	struct answer a = {0};

	ts_localapi_handle(api_of(sim), request, sim->now_ms,
			   sim->wall_s, on_done, &a);
	assert_int_equal(a.calls, 1);
	return a;
}

static struct answer ask(struct sim *sim, const char *method, const char *path,
			 const struct args *args)
{
	struct ts_localapi_request request = {
		.method = method,
		.path = path,
		.query = arg_of,
		.query_ctx = (void *)(uintptr_t)args,
		.header = header_of,
		.may_write = true,
		.is_owner = true,
	};

	return ask_full(sim, &request);
}

static void check_bool(const json_t *json, const char *path, bool want)
{
	const json_t *value = bench_at(json, path);

	if (!json_is_boolean(value))
		fail_msg("%s is no boolean", path);
	assert_int_equal(json_is_true(value), want);
}

/* Exactly these keys: a trailing '?' marks those that may be missing. */
static void check_keys(const json_t *json, const char *keys)
{
	char copy[1024], *save = NULL;
	size_t known = 0;

	assert_true(json_is_object(json));
	snprintf(copy, sizeof(copy), "%s", keys);
	for (char *k = strtok_r(copy, " ", &save); k;
	     k = strtok_r(NULL, " ", &save)) {
		bool optional = k[strlen(k) - 1] == '?';

		if (optional)
			k[strlen(k) - 1] = '\0';
		if (json_object_get(json, k))
			known++;
		else if (!optional)
			fail_msg("%s is missing", k);
	}
	if (known != json_object_size(json)) {
		char *text = json_dumps(json, 0);

		fail_msg("a key too many in %s", text);
	}
}

/* -- status --------------------------------------------------------------- */

#define PEER_KEYS                                                              \
	"ID NodeID PublicKey HostName DNSName OS UserID AltSharerUserID? "     \
	"TailscaleIPs AllowedIPs? Tags? PrimaryRoutes? Addrs CurAddr Relay "   \
	"PeerRelay RxBytes TxBytes Created LastWrite LastSeen LastHandshake "  \
	"Online ExitNode ExitNodeOption Active PeerAPIURL TaildropTarget "     \
	"NoFileSharingReason Capabilities? CapMap? InNetworkMap InMagicSock "  \
	"InEngine Expired? KeyExpiry?"
#define STATUS_KEYS                                                            \
	"Version TUN BackendState HaveNodeKey? AuthURL TailscaleIPs Self "     \
	"Health MagicDNSSuffix CurrentTailnet CertDomains ExtraRecords Peer "  \
	"User ClientVersion"

static struct sim *rich_net(void)
{
	struct sim *sim = sim_up(2, NULL);

	sim_set_extra(sim, 1,
		      json_pack("{s:[s],s:[ssss],s:[s],s:s,s:s,s:{s:[],s:[i]},"
				"s:i}",
				"Tags", "tag:web", "AllowedIPs",
				"100.64.0.2/32", "fd7a:115c:a1e0::2/128",
				"0.0.0.0/0", "::/0", "PrimaryRoutes",
				"10.0.0.0/8", "Created", "2024-05-06T07:08:09Z",
				"KeyExpiry", "2030-01-02T03:04:05Z", "CapMap",
				"zeta", "alpha", 5, "Sharer", 101));
	sim_tell(sim, 0, 1);
	sim_map_text(&sim->nodes[0],
		     "{\"UserProfiles\":[{\"ID\":101,\"LoginName\":"
		     "\"bob@example.com\",\"DisplayName\":\"Bob\","
		     "\"ProfilePicURL\":\"https://p/1\"}],"
		     "\"Health\":[\"all is lost\"],\"DNSConfig\":{\"Proxied\":"
		     "true,\"CertDomains\":[\"n0.tail.example\"],"
		     "\"ExtraRecords\":[{\"Name\":\"x.y\",\"Value\":"
		     "\"100.64.0.9\"}]}}");
	return sim;
}

static void test_status(void **state)
{
	struct sim *sim = rich_net();
	struct answer a;
	const json_t *peer;
	char key[TS_KEY_TEXT_CAP], path[128];

	(void)state;
	sim_dial(sim, 0, 1, 5000);
	sim_run(sim, 3000);
	a = ask(sim, "GET", API "status", NULL);
	assert_int_equal(a.status, 200);
	check_keys(a.json, STATUS_KEYS);
	check_bool(a.json, "TUN", false);
	check_at(a.json, "BackendState", "Running");
	check_bool(a.json, "HaveNodeKey", true);
	check_at(a.json, "AuthURL", "");
	check_at(a.json, "TailscaleIPs/0", "100.64.0.1");
	check_at(a.json, "TailscaleIPs/1", "fd7a:115c:a1e0::1");
	check_at(a.json, "Health/0", "all is lost");
	check_at(a.json, "MagicDNSSuffix", "tail.example");
	check_keys(bench_at(a.json, "CurrentTailnet"),
		   "Name MagicDNSSuffix MagicDNSEnabled");
	check_at(a.json, "CurrentTailnet/Name", "tail.example");
	check_bool(a.json, "CurrentTailnet/MagicDNSEnabled", true);
	check_at(a.json, "CertDomains/0", "n0.tail.example");
	check_at(a.json, "ExtraRecords/0/Name", "x.y");
	check_at(a.json, "User/100/LoginName", "ann@example.com");
	check_at(a.json, "User/101/LoginName", "bob@example.com");
	check_at(a.json, "User/101/ProfilePicURL", "https://p/1");
	check_number(a.json, "User/101/ID", 101);

	check_keys(bench_at(a.json, "Self"), PEER_KEYS);
	check_at(a.json, "Self/HostName", "n0");
	check_at(a.json, "Self/DNSName", "n0.tail.example.");
	check_at(a.json, "Self/Addrs/0", "192.0.2.1:41641");
	check_at(a.json, "Self/Relay", "sim");
	check_bool(a.json, "Self/Online", true);
	check_number(a.json, "Self/NodeID", 1);

	ts_public_key_format(&sim_peer(sim, 0, 1)->key, TS_PREFIX_NODE, key);
	snprintf(path, sizeof(path), "Peer/%s", key);
	peer = bench_at(a.json, path);
	check_keys(peer, PEER_KEYS);
	check_at(peer, "ID", "n1.tail.example.");
	check_number(peer, "NodeID", 2);
	check_at(peer, "PublicKey", key);
	check_at(peer, "HostName", "host");
	check_at(peer, "DNSName", "n1.tail.example.");
	check_at(peer, "OS", "linux");
	check_number(peer, "UserID", 100);
	check_number(peer, "AltSharerUserID", 101);
	check_at(peer, "TailscaleIPs/0", "100.64.0.2");
	check_at(peer, "AllowedIPs/2", "0.0.0.0/0");
	check_at(peer, "AllowedIPs/3", "::/0");
	check_at(peer, "Tags/0", "tag:web");
	check_at(peer, "PrimaryRoutes/0", "10.0.0.0/8");
	check_at(peer, "CurAddr", "192.0.2.2:41641");
	check_at(peer, "Relay", "sim");
	assert_true(json_integer_value(bench_at(peer, "TxBytes")) >= 5000);
	assert_true(json_integer_value(bench_at(peer, "RxBytes")) > 0);
	check_at(peer, "Created", "2024-05-06T07:08:09Z");
	check_at(peer, "KeyExpiry", "2030-01-02T03:04:05Z");
	check_at(peer, "LastSeen", "0001-01-01T00:00:00Z");
	assert_string_not_equal(
		json_string_value(bench_at(peer, "LastHandshake")),
		"0001-01-01T00:00:00Z");
	check_bool(peer, "Online", true);
	check_bool(peer, "ExitNode", false);
	check_bool(peer, "ExitNodeOption", true);
	check_bool(peer, "Active", true);
	check_at(peer, "Capabilities/0", "alpha");
	check_at(peer, "Capabilities/1", "zeta");
	check_number(peer, "CapMap/alpha/0", 5);
	check_bool(peer, "InEngine", true);
	answer_deinit(&a);
	sim_free(sim);
}

static void test_status_without_peers(void **state)
{
	struct sim *sim = rich_net();
	struct args args = {{"peers"}, {"false"}};
	struct answer a = ask(sim, "GET", API "status", &args);

	(void)state;
	check_keys(a.json, STATUS_KEYS);
	assert_true(json_is_null(bench_at(a.json, "Peer")));
	assert_true(json_is_null(bench_at(a.json, "User")));
	check_at(a.json, "Self/TailscaleIPs/0", "100.64.0.1");
	answer_deinit(&a);
	sim_free(sim);
}

/* Go's readers take no year but of four digits, and give up the whole answer.
 */
static void test_status_of_all_times(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct answer a;
	char key[TS_KEY_TEXT_CAP], path[128];
	const json_t *peer;

	(void)state;
	sim_set_extra(sim, 1, json_pack("{s:s, s:s}", "Created",
					"0500-01-02T03:04:05Z", "KeyExpiry",
					"9999-12-31T23:59:59-10:00"));
	sim_tell(sim, 0, 1);
	a = ask(sim, "GET", API "status", NULL);
	ts_public_key_format(&sim_peer(sim, 0, 1)->key, TS_PREFIX_NODE, key);
	snprintf(path, sizeof(path), "Peer/%s", key);
	peer = bench_at(a.json, path);
	check_at(peer, "Created", "0001-01-01T00:00:00Z");
	check_at(peer, "KeyExpiry", "0001-01-01T00:00:00Z");
	answer_deinit(&a);
	sim_free(sim);
}

static void test_status_before_login(void **state)
{
	struct sim *sim = sim_new();
	struct answer a;

	(void)state;
	sim_add_node(sim, 0, &(struct sim_options){.no_key = true});
	sim->nodes[0].control->ops.auth_url(sim->nodes[0].control->ctx,
					    "https://login/x");
	sim->nodes[0].control->ops.state_changed(
		sim->nodes[0].control->ctx, TS_CONTROL_NEEDS_LOGIN, NULL);
	a = ask(sim, "GET", API "status", NULL);
	check_keys(a.json, STATUS_KEYS);
	check_at(a.json, "BackendState", "NeedsLogin");
	check_at(a.json, "AuthURL", "https://login/x");
	assert_null(bench_at(a.json, "HaveNodeKey"));
	assert_true(json_is_null(bench_at(a.json, "TailscaleIPs")));
	assert_true(json_is_null(bench_at(a.json, "CurrentTailnet")));
	check_at(a.json, "Self/HostName", "n0");
	answer_deinit(&a);
	a = ask(sim, "GET", API "derpmap", NULL);
	assert_int_equal(a.status, 200);
	assert_true(json_is_null(a.json));
	answer_deinit(&a);
	sim_free(sim);
}

static void test_health_names_the_lock(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct answer a;

	(void)state;
	sim_set_extra(sim, 0, json_pack("{s:{s:n}}", "CapMap",
					"https://tailscale.com/cap/tailnet-"
					"lock"));
	sim_tell(sim, 0, 0);
	sim_map_text(&sim->nodes[0], "{\"TKAInfo\":{\"Head\":\"x\"}}");
	a = ask(sim, "GET", API "status", NULL);
	assert_non_null(strstr(json_string_value(bench_at(a.json, "Health/0")),
			       "Tailnet Lock"));
	answer_deinit(&a);
	sim_free(sim);
}

/* -- whois ---------------------------------------------------------------- */

static struct answer whois(struct sim *sim, const char *addr)
{
	struct args args = {{"addr"}, {addr}};

	return ask(sim, "GET", API "whois", &args);
}

static void check_whois(struct sim *sim, const char *addr, long id)
{
	struct answer a = whois(sim, addr);

	assert_int_equal(a.status, 200);
	check_keys(a.json, "Node UserProfile CapMap");
	check_number(a.json, "Node/ID", id);
	check_at(a.json, "UserProfile/LoginName", "ann@example.com");
	answer_deinit(&a);
}

static void test_whois(void **state)
{
	struct sim *sim = rich_net();
	char key[TS_KEY_TEXT_CAP];
	struct answer a = whois(sim, "100.64.0.2");

	(void)state;
	check_keys(bench_at(a.json, "Node"),
		   "ID StableID Name User Sharer? Key KeyExpiry? Machine "
		   "DiscoKey Addresses AllowedIPs Endpoints? HomeDERP? "
		   "Hostinfo Created Cap? Tags? PrimaryRoutes? LastSeen? "
		   "Online? MachineAuthorized? CapMap? Expired? "
		   "IsWireGuardOnly? IsJailed? ComputedName");
	check_at(a.json, "Node/Name", "n1.tail.example.");
	check_at(a.json, "Node/ComputedName", "n1");
	check_at(a.json, "Node/Addresses/0", "100.64.0.2/32");
	check_at(a.json, "Node/Tags/0", "tag:web");
	/* that of the owner, not of who shared it */
	check_keys(bench_at(a.json, "UserProfile"),
		   "ID LoginName DisplayName ProfilePicURL?");
	check_number(a.json, "UserProfile/ID", 100);
	assert_true(json_is_null(bench_at(a.json, "CapMap")));
	answer_deinit(&a);

	check_whois(sim, "100.64.0.2:4711", 2);
	check_whois(sim, "fd7a:115c:a1e0::2", 2);
	check_whois(sim, "[fd7a:115c:a1e0::2]:80", 2);
	check_whois(sim, "100.64.0.1:1", 1);
	ts_public_key_format(&sim_peer(sim, 0, 1)->key, TS_PREFIX_NODE, key);
	check_whois(sim, key, 2);
	ts_public_key_format(
		&ts_node_netmap(sim->nodes[0].node)->self->key,
		TS_PREFIX_NODE, key);
	check_whois(sim, key, 1);
	sim_free(sim);
}

static void test_whois_caps(void **state)
{
	struct sim *sim = rich_net();
	struct answer a;

	(void)state;
	sim_map_text(&sim->nodes[0],
		     "{\"PacketFilters\":{\"caps\":[{\"SrcIPs\":["
		     "\"100.64.0.2\"],\"CapGrant\":[{\"Dsts\":[\"100.64.0.1/32"
		     "\"],\"CapMap\":{\"example.com/cap\":[{\"a\":1}]}}]}]}}");
	a = whois(sim, "100.64.0.2");
	check_number(
		json_object_get(bench_at(a.json, "CapMap"), "example.com/cap"),
		"0/a", 1);
	answer_deinit(&a);
	sim_free(sim);
}

static void check_error(struct answer a, int status, const char *text)
{
	assert_int_equal(a.status, status);
	assert_string_equal(a.type, "text/plain; charset=utf-8");
	assert_string_equal(a.text, text);
	answer_deinit(&a);
}

static void test_whois_errors(void **state)
{
	struct sim *sim = rich_net();
	char long_text[3000];

	(void)state;
	memset(long_text, '1', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	check_error(whois(sim, NULL), 400, "missing 'addr' parameter\n");
	check_error(whois(sim, ""), 400, "missing 'addr' parameter\n");
	check_error(whois(sim, "nobody"), 400, "invalid 'addr' parameter\n");
	check_error(whois(sim, long_text), 400, "invalid 'addr' parameter\n");
	check_error(whois(sim, "100.64.0.2:70000"), 400,
		    "invalid 'addr' parameter\n");
	check_error(whois(sim, "nodekey:xyz"), 400,
		    "invalid nodekey in 'addr' parameter\n");
	check_error(whois(sim, "100.64.0.77"), 404, "no match for IP:port\n");
	check_error(whois(sim, "8.8.8.8:53"), 404, "no match for IP:port\n");
	check_error(whois(sim, "nodekey:000000000000000000000000000000000000000"
			       "0000000000000000000000001"),
		    404, "no match for IP:port\n");
	/* An owner whom nobody knows: not by address, but by key. */
	sim_set_extra(sim, 1, json_pack("{s:i}", "User", 555));
	sim_tell(sim, 0, 1);
	check_error(whois(sim, "100.64.0.2"), 404, "no match for IP:port\n");
	{
		char key[TS_KEY_TEXT_CAP];
		struct answer a;

		ts_public_key_format(&sim_peer(sim, 0, 1)->key, TS_PREFIX_NODE,
				     key);
		a = whois(sim, key);
		assert_int_equal(a.status, 200);
		check_number(a.json, "UserProfile/ID", 0);
		answer_deinit(&a);
	}
	sim_free(sim);
}

/* -- prefs, derpmap, serve-config ----------------------------------------- */

/* Every key of that kind is all zeros, and there is one. */
static bool is_zeroed(const char *text, const char *prefix)
{
	const char *key = strstr(text, prefix);

	for (const char *k = key; k; k = strstr(k, prefix)) {
		k += strlen(prefix);
		if (k[strspn(k, "0")] != '"')
			return false;
	}
	return key != NULL;
}

static void test_prefs_without_secrets(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	const struct ts_prefs *prefs = ts_node_prefs(sim->nodes[0].node);
	struct answer a = ask(sim, "GET", API "prefs", NULL);
	char hex[65];

	(void)state;
	assert_int_equal(a.status, 200);
	check_at(a.json, "Hostname", "n0");
	check_bool(a.json, "WantRunning", true);
	check_bool(a.json, "LoggedOut", false);
	check_bool(a.json, "ShieldsUp", false);
	check_bool(a.json, "RouteAll", false);
	for (size_t i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x",
			 prefs->persist.node_key.bytes[i]);
	assert_null(strstr(a.text, hex));
	assert_true(is_zeroed(a.text, "\"privkey:"));
	assert_true(is_zeroed(a.text, "\"nlpriv:"));
	answer_deinit(&a);
	sim_free(sim);
}

static void test_small_routes(void **state)
{
	struct sim *sim = sim_up(1, NULL);
	struct answer a = ask(sim, "GET", API "derpmap", NULL);

	(void)state;
	check_at(a.json, "Regions/1/RegionCode", "sim");
	answer_deinit(&a);
	a = ask(sim, "GET", API "serve-config", NULL);
	assert_int_equal(a.status, 200);
	assert_true(json_is_null(a.json));
	answer_deinit(&a);
	a = ask(sim, "GET", "/", NULL);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.text, "tailscaled\n");
	answer_deinit(&a);
	sim_free(sim);
}

/* -- ping ----------------------------------------------------------------- */

static void ask_ping(struct sim *sim, const char *ip, const char *type,
		     const char *size, struct answer *a)
{
	struct args args = {{"ip", "type", "size"}, {ip, type, size}};
	struct ts_localapi_request request = {
		.method = "POST",
		.path = API "ping",
		.query = arg_of,
		.query_ctx = &args,
		.may_write = false,
	};

	memset(a, 0, sizeof(*a));
	ts_localapi_handle(api_of(sim), &request, sim->now_ms,
			   sim->wall_s, on_done, a);
}

static void test_pings(void **state)
{
	static const char *const types[] = {"disco", "TSMP", "ICMP", "disco"};
	struct sim *sim = sim_up(2, NULL);
	struct answer a;

	(void)state;
	sim_dial(sim, 0, 1, 1000);
	sim_run(sim, 3000);
	for (size_t i = 0; i < 4; i++) {
		bool is_disco = i % 3 == 0;

		ask_ping(sim, "100.64.0.2", types[i], i < 3 ? "0" : "1200",
			 &a);
		assert_int_equal(a.calls, 0);
		sim_run(sim, 1000);
		assert_int_equal(a.calls, 1);
		check_keys(a.json, "IP NodeIP NodeName Err LatencySeconds "
				   "Endpoint PeerRelay DERPRegionID "
				   "DERPRegionCode PeerAPIPort?");
		check_at(a.json, "IP", "100.64.0.2");
		check_at(a.json, "NodeIP", "100.64.0.2");
		check_at(a.json, "NodeName", "n1");
		check_at(a.json, "Err", "");
		assert_true(json_real_value(bench_at(
				    a.json, "LatencySeconds")) > 0.0099);
		/* The CLI would stop at the first endpoint. */
		check_at(a.json, "Endpoint",
			   is_disco ? "192.0.2.2:41641" : "");
		check_number(a.json, "DERPRegionID", 0);
		answer_deinit(&a);
	}
	sim->no_udp = true;
	sim_run(sim, 20000);
	ask_ping(sim, "100.64.0.2", "disco", "1200", &a);
	sim_run(sim, 2000);
	check_at(a.json, "Endpoint", "");
	check_number(a.json, "DERPRegionID", 1);
	check_at(a.json, "DERPRegionCode", "sim");
	answer_deinit(&a);
	sim_free(sim);
}

static void test_ping_errors(void **state)
{
	static const struct {
		const char *ip, *type, *size;
		int status;
		const char *text;
	} cases[] = {
		{NULL, "disco", NULL, 400, "missing 'ip' parameter\n"},
		{"", "disco", NULL, 400, "missing 'ip' parameter\n"},
		{"n1", "disco", NULL, 400, "invalid IP\n"},
		{"100.64.0.2:1", "disco", NULL, 400, "invalid IP\n"},
		{"100.64.0.2", NULL, NULL, 400, "missing 'type' parameter\n"},
		{"100.64.0.2", "tsmp", NULL, 500, NULL},
		{"100.64.0.2", "peerapi ", NULL, 500, NULL},
		{"100.64.0.2", "disco", "x", 400,
		 "invalid 'size' parameter\n"},
		{"100.64.0.2", "disco", "12 ", 400,
		 "invalid 'size' parameter\n"},
		{"100.64.0.2", "TSMP", "1200", 400,
		 "'size' parameter is only supported with disco pings\n"},
		{"100.64.0.2", "disco", "8973", 400,
		 "maximum value for 'size' is 8972\n"},
	};
	struct sim *sim = sim_up(2, NULL);
	struct answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask_ping(sim, cases[i].ip, cases[i].type, cases[i].size, &a);
		assert_int_equal(a.calls, 1);
		assert_int_equal(a.status, cases[i].status);
		if (cases[i].text)
			assert_string_equal(a.text, cases[i].text);
		else
			assert_true(json_is_string(bench_at(a.json, "error")));
		answer_deinit(&a);
	}
	ask_ping(sim, "100.64.0.1", "TSMP", NULL, &a);
	check_at(a.json, "Err", "100.64.0.1 is local Tailscale IP");
	check_bool(a.json, "IsLocalIP", true);
	answer_deinit(&a);
	ask_ping(sim, "100.64.0.99", "TSMP", NULL, &a);
	assert_int_equal(a.status, 200);
	check_at(a.json, "Err", "no matching peer");
	check_at(a.json, "NodeIP", "");
	answer_deinit(&a);
	/* The node goes away with a ping under way. */
	ask_ping(sim, "100.64.0.2", "TSMP", NULL, &a);
	ts_node_free(sim->nodes[0].node);
	sim->nodes[0].node = NULL;
	assert_int_equal(a.calls, 1);
	answer_deinit(&a);
	sim_free(sim);
}

/* -- netcheck ------------------------------------------------------------- */

static void ask_netcheck(struct sim *sim, struct answer *a)
{
	struct ts_localapi_request request = {
		.method = "POST",
		.path = API "netcheck",
		.query = arg_of,
	};

	memset(a, 0, sizeof(*a));
	ts_localapi_handle(api_of(sim), &request, sim->now_ms,
			   sim->wall_s, on_done, a);
}

static void test_netcheck(void **state)
{
	struct sim *sim = sim_up(1, NULL);
	struct answer a;

	(void)state;
	ask_netcheck(sim, &a); /* nobody there to be asked: at once */
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.status, 200);
	check_keys(a.json,
		   "Now UDP IPv4 IPv6 OSHasIPv6 MappingVariesByDestIP "
		   "UPnP PMP PCP PreferredDERP RegionLatency RegionV4Latency "
		   "RegionV6Latency GlobalV4 GlobalV6");
	check_number(a.json, "PreferredDERP", 1);
	answer_deinit(&a);
	sim_free(sim);
}

/* -- who may ask ---------------------------------------------------------- */

static void test_unknown_routes_and_methods(void **state)
{
	struct sim *sim = sim_up(1, NULL);
	char path[4000];

	(void)state;
	check_error(ask(sim, "GET", API "nonsense", NULL), 404,
		    "GET /localapi/v0/nonsense: not served by this node\n");
	check_error(ask(sim, "POST", API "status", NULL), 405,
		    "POST /localapi/v0/status: method not allowed\n");
	check_error(ask(sim, "GET", API "ping", NULL), 405,
		    "GET /localapi/v0/ping: method not allowed\n");
	memset(path, '%', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	for (size_t i = 0; i < 3; i++) {
		static const char *const odd[] = {"", "/localapi/v0",
						  "/localapi/v0/status/"};
		struct answer a = ask(sim, "GET", odd[i], NULL);

		assert_int_equal(a.status, 404);
		answer_deinit(&a);
	}
	{
		struct answer a = ask(sim, path, path, NULL);

		assert_int_equal(a.status, 404);
		assert_true(strlen(a.text) < 300);
		answer_deinit(&a);
	}
	sim_free(sim);
}

struct headers {
	const char *host, *origin, *referer;
};

static const char *header_in(void *ctx, const char *name)
{
	const struct headers *h = ctx;

	if (strcmp(name, "Host") == 0)
		return h->host;
	if (strcmp(name, "Origin") == 0)
		return h->origin;
	return strcmp(name, "Referer") == 0 ? h->referer : NULL;
}

static const char *no_arg(void *ctx, const char *name)
{
	(void)ctx, (void)name;
	return NULL;
}

static void test_browsers_are_kept_out(void **state)
{
	static const struct headers bad[] = {
		{"local-tailscaled.sock", NULL, "http://evil/"},
		{"local-tailscaled.sock", "null", NULL},
		{"evil.example", NULL, NULL},
		{"127.0.0.1:1", NULL, NULL},
	};
	static const struct headers good[] = {
		{"local-tailscaled.sock", NULL, NULL},
		{"LOCAL-tailscaled.sock", "", ""},
		{NULL, NULL, NULL},
		{"", NULL, NULL},
	};
	struct sim *sim = sim_up(1, NULL);
	struct ts_localapi_request request = {
		.method = "GET",
		.path = API "prefs",
		.query = no_arg,
		.header = header_in,
	};
	struct answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		request.query_ctx = (void *)(uintptr_t)&bad[i];
		check_error(ask_full(sim, &request), 403,
			    "invalid localapi request\n");
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		request.query_ctx = (void *)(uintptr_t)&good[i];
		a = ask_full(sim, &request);
		assert_int_equal(a.status, 200);
		answer_deinit(&a);
	}
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_status, free_api),
		cmocka_unit_test_teardown(test_status_without_peers, free_api),
		cmocka_unit_test_teardown(test_status_of_all_times, free_api),
		cmocka_unit_test_teardown(test_status_before_login, free_api),
		cmocka_unit_test_teardown(test_health_names_the_lock, free_api),
		cmocka_unit_test_teardown(test_whois, free_api),
		cmocka_unit_test_teardown(test_whois_caps, free_api),
		cmocka_unit_test_teardown(test_whois_errors, free_api),
		cmocka_unit_test_teardown(test_prefs_without_secrets, free_api),
		cmocka_unit_test_teardown(test_small_routes, free_api),
		cmocka_unit_test_teardown(test_pings, free_api),
		cmocka_unit_test_teardown(test_ping_errors, free_api),
		cmocka_unit_test_teardown(test_netcheck, free_api),
		cmocka_unit_test_teardown(test_unknown_routes_and_methods,
					  free_api),
		cmocka_unit_test_teardown(test_browsers_are_kept_out, free_api),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
