/* SPDX-License-Identifier: BSD-3-Clause
 * test_tka_routes.c - the routes of Tailnet Lock: their shapes, who may use
 * them, and bodies that make no sense
 */
#include "unit/node/node_sim.h"

#include "core/base/encode.h"
#include "core/localapi/localapi.h"
#include "core/tka/tka.h"

#define API "/localapi/v0/tka/"
#define KEY32 "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="

struct answer {
	unsigned calls;
	int status;
	bool is_secret;
	char *text;
};

static struct ts_localapi *the_api; /* of the test that runs */

static void close_all(struct sim *sim)
{
	ts_localapi_free(the_api);
	the_api = NULL;
	sim_free(sim);
}

static const char *no_query(void *ctx, const char *name)
{
	(void)name;
	return ctx;
}

static void on_done(void *ctx, const struct ts_localapi_reply *reply)
{
	struct answer *a = ctx;

	a->calls++;
	a->status = reply->status;
	a->is_secret = reply->is_secret;
	free(a->text);
	a->text = reply->body;
}

/* limit: the query parameter, or NULL. */
static void ask(struct sim *sim, struct answer *a, const char *method,
		const char *route, const char *body, bool may_write,
		const char *limit)
{
	static const struct ts_localapi_env env;
	char path[64];
	struct ts_localapi_request request = {
		.method = method,
		.path = path,
		.query = no_query,
		.query_ctx = (void *)(uintptr_t)limit,
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.may_write = may_write,
	};

	snprintf(path, sizeof(path), API "%s", route);
	free(a->text);
	memset(a, 0, sizeof(*a));
	if (!the_api)
		the_api = ts_localapi_new(sim->nodes[0].node, &env, NULL);
	ts_localapi_handle(the_api, &request, sim->now_ms, sim->wall_s,
			   on_done, a);
}

static int post(struct sim *sim, const char *route, const char *body)
{
	struct answer a = {0};

	ask(sim, &a, "POST", route, body, true, NULL);
	assert_int_equal(a.calls, 1);
	free(a.text);
	return a.status;
}

/* -- a lock whose key is node 0's own ------------------------------------- */

static struct sim *locked(void)
{
	struct sim *sim = sim_up(3, NULL);
	struct sim_node *n = &sim->nodes[0];
	const struct ts_nl_private_key *own =
		&ts_node_prefs(n->node)->persist.nl_key;
	struct ts_tka_key key = {.votes = 3,
				 .meta = json_pack("{s:s, s:s}", "purpose", "t",
						   "StateID", "7")};
	struct ts_tka_disablement disablement = {{7}};
	struct ts_tka_aum contents = {
		.kind = TS_AUM_CHECKPOINT,
		.has_state = true,
		.state = {&key, 1, &disablement, 1, 0xf000000000000001, 2}};
	struct ts_tka_aum *aum;
	char head[TS_TKA_HASH_TEXT_CAP], *genesis, text[4096];

	ts_nl_public(own, &key.public);
	assert_int_equal(ts_tka_aum_sign(&contents, own, 1, &aum), 0);
	genesis = ts_base64_encode(aum->raw, aum->len);
	ts_tka_hash_format(&aum->hash, head);
	ts_tka_aum_free(aum);
	json_decref(key.meta);
	sim_set_extra(sim, 0, json_pack("{s:{s:n}}", "CapMap",
					TS_CAP_TAILNET_LOCK));
	sim_tell(sim, 0, 0);
	snprintf(text, sizeof(text), "{\"TKAInfo\":{\"Head\":\"%s\"}}", head);
	sim_map_text(n, text);
	snprintf(text, sizeof(text), "{\"GenesisAUM\":\"%s\"}", genesis);
	sim_answer(n, 200, text, NULL);
	snprintf(text, sizeof(text), "{\"Head\":\"%s\"}", head);
	sim_answer(n, 200, text, NULL);
	free(genesis);
	assert_non_null(ts_node_tka(n->node));
	return sim;
}

static void ensure_key(struct sim *sim)
{
	/* The simulation's nodes have no key of their own. */
	const struct ts_prefs *prefs = ts_node_prefs(sim->nodes[0].node);

	assert_int_not_equal(prefs->persist.nl_key.bytes[TS_KEY_LEN] |
				     prefs->persist.nl_key.bytes[40],
			     0);
}

static void status_without_a_lock(void **state)
{
	struct sim *sim = sim_up(1, NULL);
	struct answer a = {0};
	json_t *status;

	(void)state;
	ask(sim, &a, "GET", "status", NULL, false, NULL);
	assert_int_equal(a.status, 200);
	status = json_loads(a.text, 0, NULL);
	assert_true(json_is_false(json_object_get(status, "Enabled")));
	assert_true(json_is_null(json_object_get(status, "Head")));
	assert_true(json_is_null(json_object_get(status, "TrustedKeys")));
	assert_int_equal(strncmp(json_string_value(json_object_get(
					 status, "PublicKey")),
				 "nlpub:", 6),
			 0);
	assert_non_null(strstr(a.text, "\"StateID\":0"));
	json_decref(status);
	ask(sim, &a, "GET", "log", NULL, false, NULL);
	assert_int_equal(a.status, 500);
	assert_non_null(strstr(a.text, "not active"));
	free(a.text);
	assert_int_equal(post(sim, "sign", "{\"NodeKey\":\"nodekey:"
			      "0101010101010101010101010101010101010101010101"
			      "010101010101010101\"}"), 500);
	assert_int_equal(post(sim, "modify", "{}"), 500);
	assert_int_equal(post(sim, "disable", "x"), 400);
	assert_int_equal(post(sim, "force-local-disable", "{}"), 400);
	close_all(sim);
}

static void status_with_a_lock(void **state)
{
	struct sim *sim = locked();
	struct answer a = {0};
	json_t *status, *list;

	(void)state;
	ensure_key(sim);
	ask(sim, &a, "GET", "status", NULL, false, NULL);
	/* More than a signed number holds. */
	assert_non_null(strstr(a.text, "\"StateID\":17293822569102704641"));
	status = json_loads(a.text, JSON_DECODE_INT_AS_REAL, NULL);
	assert_non_null(status);
	assert_true(json_is_true(json_object_get(status, "Enabled")));
	assert_int_equal(json_array_size(json_object_get(status, "Head")), 32);
	list = json_object_get(status, "TrustedKeys");
	assert_int_equal(json_array_size(list), 1);
	assert_non_null(strstr(a.text, "\"Kind\":\"25519\""));
	/* A member may call its metadata what it likes. */
	assert_non_null(
		strstr(a.text, "{\"StateID\":\"7\",\"purpose\":\"t\"}"));
	assert_non_null(strstr(a.text, "\"Votes\":3"));
	list = json_object_get(status, "FilteredPeers");
	assert_int_equal(json_array_size(list), 2);
	list = json_object_get(status, "VisiblePeers");
	assert_int_equal(json_array_size(list), 0);
	json_decref(status);
	free(a.text);
	close_all(sim);
}

static void log_is_limited(void **state)
{
	static const char *const wrong[] = {"x", "1x", "99999999999999999999"};
	struct sim *sim = locked();
	struct answer a = {0};
	json_t *log;

	(void)state;
	ask(sim, &a, "GET", "log", NULL, false, "1");
	assert_int_equal(a.status, 200);
	log = json_loads(a.text, 0, NULL);
	assert_int_equal(json_array_size(log), 1);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(log, 0), "Change")),
			    "checkpoint");
	json_decref(log);
	ask(sim, &a, "GET", "log", NULL, false, "-1");
	assert_string_equal(a.text, "[]");
	for (size_t i = 0; i < 3; i++) {
		ask(sim, &a, "GET", "log", NULL, false, wrong[i]);
		assert_int_equal(a.status, 400);
	}
	free(a.text);
	close_all(sim);
}

/* A link of our authority's, of another one, of none. */
static void links_are_verified(void **state)
{
	static const char body[] =
		"{\"URL\":\"tailscale://sign-device/v1/?nk=nk&tp=tp&dn=dn&"
		"os=os&em=em&hm=%s"
		"\"}";
	static const char mac[] =
		"def1d9230e811ec9928be23fae2a69ff"
		"52945b8fbf075fc23d94687e047512f6";
	struct sim *sim = locked();
	struct answer a = {0};
	char text[512];

	(void)state;
	snprintf(text, sizeof(text), body, mac);
	ask(sim, &a, "POST", "verify-deeplink", text, false, NULL);
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(
		a.text, "{\"IsValid\":true,\"Error\":\"\",\"Version\":0,"
			"\"NodeKey\":\"nk\",\"TLPub\":\"tp\","
			"\"DeviceName\":\"dn\",\"OSName\":\"os\","
			"\"EmailAddress\":\"em\"}"));
	snprintf(text, sizeof(text), body, "00");
	ask(sim, &a, "POST", "verify-deeplink", text, false, NULL);
	assert_non_null(strstr(
		a.text, "{\"IsValid\":false,\"Error\":\"hmac authentication "
			"failed\",\"Version\":0,\"NodeKey\":\"\""));
	ask(sim, &a, "POST", "verify-deeplink", "{}", false, NULL);
	assert_non_null(strstr(a.text, "unhandled scheme"));
	ask(sim, &a, "POST", "verify-deeplink", "[]", false, NULL);
	assert_int_equal(a.status, 400);
	ask(sim, &a, "GET", "verify-deeplink", "", false, NULL);
	assert_int_equal(a.status, 405);
	free(a.text);
	close_all(sim);
	sim = sim_up(1, NULL);
	memset(&a, 0, sizeof(a));
	ask(sim, &a, "POST", "verify-deeplink", "{}", false, NULL);
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.text, "tailnet-lock is not active"));
	free(a.text);
	close_all(sim);
}

static void changes_need_the_right_to_write(void **state)
{
	static const char *const routes[] = {
		"sign", "modify", "init", "disable", "force-local-disable",
		"wrap-preauth-key", "generate-recovery-aum",
		"cosign-recovery-aum", "submit-recovery-aum"};
	struct sim *sim = locked();
	struct answer a = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		ask(sim, &a, "POST", routes[i], "{}", false, NULL);
		assert_int_equal(a.status, 403);
	}
	assert_non_null(ts_node_tka(sim->nodes[0].node));
	free(a.text);
	close_all(sim);
}

static void bodies_that_make_no_sense(void **state)
{
	static const struct {
		const char *route, *body;
	} wrong[] = {
		{"sign", ""},
		{"sign", "[]"},
		{"sign", "{}"},
		{"sign", "{\"NodeKey\":7}"},
		{"sign", "{\"NodeKey\":\"nodekey:00\"}"},
		{"modify", "{\"AddKeys\":[7]}"},
		{"modify",
		 "{\"AddKeys\":[{\"Kind\":2,\"Votes\":1,\"Public\":\"" KEY32
		 "\"}]}"},
		{"modify",
		 "{\"AddKeys\":[{\"Kind\":1,\"Votes\":0,\"Public\":\"" KEY32
		 "\"}]}"},
		{"modify", "{\"AddKeys\":[{\"Kind\":1,\"Votes\":4097,"
			   "\"Public\":\"" KEY32 "\"}]}"},
		{"modify", "{\"AddKeys\":[{\"Kind\":1,\"Votes\":1,\"Public\":"
			   "\"AAAA\"}]}"},
		{"modify",
		 "{\"AddKeys\":[{\"Kind\":1,\"Votes\":1,\"Public\":\"" KEY32
		 "\",\"Meta\":{\"a\":1}}]}"},
		{"modify", "{\"RemoveKeys\":[{}]}"},
		{"init", "{\"DisablementValues\":[\"AAAA\"]}"},
		{"init", "{\"DisablementValues\":[7]}"},
		{"wrap-preauth-key", "{}"},
		{"wrap-preauth-key",
		 "{\"TSKey\":\"k\",\"TKAKey\":\"nlpriv:00\"}"},
		{"force-local-disable", "x"},
		{"affected-sigs", "short"},
		{"generate-recovery-aum", "x"},
		{"generate-recovery-aum", "{\"Keys\":[\"AAAA\"]}"},
		{"generate-recovery-aum", "{\"ForkFrom\":\"x\"}"},
		{"cosign-recovery-aum", ""},
		{"cosign-recovery-aum", "\xa1\x01\x05"},
		{"submit-recovery-aum", "nonsense"},
	};
	struct sim *sim = locked();

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(post(sim, wrong[i].route, wrong[i].body), 400);
	assert_null(sim->nodes[0].control->call_fn);
	close_all(sim);
}

static void a_change_waits_for_the_server(void **state)
{
	struct sim *sim = locked();
	struct sim_node *n = &sim->nodes[0];
	struct answer a = {0};

	(void)state;
	ask(sim, &a, "POST", "modify",
	    "{\"AddKeys\":[{\"Kind\":1,\"Votes\":1,\"Public\":\"" KEY32
	    "\",\"Meta\":null}],\"RemoveKeys\":null}", true, NULL);
	assert_int_equal(a.calls, 0);
	assert_string_equal(n->control->call_path, "/machine/tka/sync/send");
	assert_non_null(strstr(n->control->call_body, "\"Interactive\":true"));
	sim_answer(n, 200, "{\"Head\":\"AAAA\"}", NULL);
	assert_int_equal(a.status, 500);
	assert_non_null(strstr(a.text, "central tka head differs"));
	ask(sim, &a, "POST", "sign",
	    "{\"NodeKey\":\"nodekey:0101010101010101010101010101010101010101"
	    "010101010101010101010101\",\"RotationPublic\":null}",
	    true, NULL);
	assert_int_equal(a.calls, 0);
	sim_answer(n, 403, "no\x1b", NULL);
	assert_int_equal(a.status, 500);
	assert_string_equal(a.text,
			    "signing failed: request returned (403): no \n");
	ask(sim, &a, "POST", "sign",
	    "{\"NodeKey\":\"nodekey:0101010101010101010101010101010101010101"
	    "010101010101010101010101\"}",
	    true, NULL);
	sim_answer(n, 200, "{}", NULL);
	assert_int_equal(a.status, 200);
	free(a.text);
	/* The last key stays, whoever asks. */
	assert_int_equal(post(sim, "modify", "{\"RemoveKeys\":[{\"Kind\":1,"
			      "\"Votes\":1,\"Public\":\"" KEY32 "\"}]}"), 500);
	assert_int_equal(post(sim, "modify", "{}"), 204);
	assert_int_equal(post(sim, "disable", "not it"), 400);
	close_all(sim);
}

static void a_wrapped_key_is_nobodys_to_keep(void **state)
{
	struct sim *sim = locked();
	char key[TS_NLKEY_TEXT_CAP], body[512];
	struct answer a = {0};

	(void)state;
	ts_nl_key_format(&ts_node_prefs(sim->nodes[0].node)->persist.nl_key,
			 key);
	snprintf(body, sizeof(body),
		 "{\"TSKey\":\"tskey-auth-k\",\"TKAKey\":\"%s\"}", key);
	ask(sim, &a, "POST", "wrap-preauth-key", body, true, NULL);
	assert_int_equal(a.status, 200);
	assert_int_equal(strncmp(a.text, "tskey-auth-k--TL", 16), 0);
	assert_true(a.is_secret);
	ask(sim, &a, "GET", "status", NULL, true, NULL);
	assert_false(a.is_secret);
	free(a.text);
	close_all(sim);
}

/* This node alone: and it stays so, though the server says otherwise. */
static void it_can_be_switched_off_here(void **state)
{
	struct sim *sim = locked();
	struct sim_node *n = &sim->nodes[0];
	struct ts_ip ip = sim_ip(1);
	char *prefs;

	(void)state;
	assert_null(ts_node_whois(n->node, &ip));
	assert_int_equal(post(sim, "force-local-disable", "{}"), 200);
	assert_null(ts_node_tka(n->node));
	assert_non_null(ts_node_whois(n->node, &ip));
	prefs = ts_prefs_to_json(ts_node_prefs(n->node), false);
	assert_non_null(strstr(prefs, "\"DisallowedTKAStateIDs\":[\""
				      "17293822569102704641:2\"]"));
	free(prefs);
	sim_map_text(n, "{\"TKAInfo\":{\"Head\":\"x\"}}");
	assert_null(n->control->call_fn);
	assert_non_null(ts_node_whois(n->node, &ip));
	close_all(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_without_a_lock),
		cmocka_unit_test(status_with_a_lock),
		cmocka_unit_test(log_is_limited),
		cmocka_unit_test(links_are_verified),
		cmocka_unit_test(changes_need_the_right_to_write),
		cmocka_unit_test(bodies_that_make_no_sense),
		cmocka_unit_test(a_change_waits_for_the_server),
		cmocka_unit_test(a_wrapped_key_is_nobodys_to_keep),
		cmocka_unit_test(it_can_be_switched_off_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
