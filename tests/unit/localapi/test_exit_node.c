/* SPDX-License-Identifier: BSD-3-Clause
 * test_exit_node.c - which exit node is used, and which would be good
 */
#include "unit/node/node_sim.h"

#include "core/localapi/localapi.h"

struct answer {
	int status;
	json_t *json;
};

static void on_done(void *ctx, const struct ts_localapi_reply *reply)
{
	struct answer *a = ctx;

	a->status = reply->status;
	a->json = json_loadb(reply->body, reply->body_len, JSON_DECODE_ANY,
			     NULL);
	free(reply->body);
}

static const char *no_query(void *ctx, const char *name)
{
	(void)ctx, (void)name;
	return NULL;
}

static struct answer get(struct sim *sim, const char *path)
{
	struct ts_localapi_request request = {.method = "GET", .path = path,
					      .query = no_query};
	static const struct ts_localapi_env env;
	struct ts_localapi *api =
		ts_localapi_new(sim->nodes[0].node, &env, NULL);
	struct answer a = {0};

	ts_localapi_handle(api, &request, sim->now_ms, sim->wall_s, on_done,
			   &a);
	ts_localapi_free(api);
	return a;
}

static const char *text(const json_t *obj, const char *name)
{
	return json_string_value(json_object_get(obj, name));
}

static struct sim *net(void)
{
	struct sim *sim = sim_up(2, NULL);

	sim_set_extra(sim, 1,
		      json_pack("{s:[sss], s:{s:n}, s:{s:s, s:{s:s}}}",
				"AllowedIPs", "100.64.0.2/32", "0.0.0.0/0",
				"::/0", "CapMap", "suggest-exit-node",
				"Hostinfo", "OS", "linux", "Location",
				"Country", "Iceland"));
	sim_tell(sim, 0, 1);
	return sim;
}

static const json_t *only_peer(const json_t *status)
{
	json_t *peers = json_object_get(status, "Peer");

	return json_object_iter_value(json_object_iter(peers));
}

static void status_names_it(void **state)
{
	struct ts_route_prefs prefs = {0};
	struct sim *sim = net();
	struct answer a = get(sim, "/localapi/v0/status");
	const json_t *exit_node;

	(void)state;
	assert_null(json_object_get(a.json, "ExitNodeStatus"));
	assert_true(json_is_false(
		json_object_get(only_peer(a.json), "ExitNode")));
	assert_true(json_is_true(
		json_object_get(only_peer(a.json), "ExitNodeOption")));
	assert_string_equal(text(json_object_get(only_peer(a.json),
						 "Location"), "Country"),
			    "Iceland");
	json_decref(a.json);
	assert_int_equal(ts_route_prefs_set_exit_node(&prefs, "n1"), 0);
	assert_int_equal(ts_node_set_route_prefs(sim->nodes[0].node, &prefs,
						 sim->now_ms), 0);
	ts_route_prefs_deinit(&prefs);
	a = get(sim, "/localapi/v0/status");
	exit_node = json_object_get(a.json, "ExitNodeStatus");
	assert_string_equal(text(exit_node, "ID"), "n1.tail.example.");
	assert_true(json_is_true(json_object_get(exit_node, "Online")));
	assert_string_equal(json_string_value(json_array_get(
				    json_object_get(exit_node, "TailscaleIPs"),
				    0)),
			    "100.64.0.2/32");
	assert_true(json_is_true(
		json_object_get(only_peer(a.json), "ExitNode")));
	json_decref(a.json);
	/* By its ID from now on. */
	a = get(sim, "/localapi/v0/prefs");
	assert_string_equal(text(a.json, "ExitNodeID"), "n1.tail.example.");
	json_decref(a.json);
	sim_free(sim);
}

static void one_is_suggested(void **state)
{
	struct sim *sim = net();
	struct answer a = get(sim, "/localapi/v0/suggest-exit-node");

	(void)state;
	assert_int_equal(a.status, 200);
	assert_string_equal(text(a.json, "ID"), "n1.tail.example.");
	assert_string_equal(text(a.json, "Name"), "n1.tail.example.");
	assert_string_equal(text(json_object_get(a.json, "Location"),
				 "Country"), "Iceland");
	json_decref(a.json);
	sim_map_text(&sim->nodes[0], "{\"OnlineChange\":{\"2\":false}}");
	a = get(sim, "/localapi/v0/suggest-exit-node");
	assert_int_equal(a.status, 200);
	assert_string_equal(text(a.json, "ID"), "");
	json_decref(a.json);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_names_it),
		cmocka_unit_test(one_is_suggested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
