/* SPDX-License-Identifier: BSD-3-Clause
 */
#include "unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/model/prefs_edit.h"

#define HEX64 "2222222222222222222222222222222222222222222222222222222222222222"

static struct ts_prefs read_prefs(const char *text)
{
	struct ts_prefs prefs;
	char err[128];

	assert_int_equal(ts_prefs_from_json(text, strlen(text), &prefs, err),
			 0);
	return prefs;
}

static struct ts_prefs sample(void)
{
	return read_prefs(
		"{\"ControlURL\":\"https://c\",\"Hostname\":\"h\","
		"\"RouteAll\":true,\"AdvertiseTags\":[\"tag:a\"],"
		"\"Future\":{\"x\":1},\"RunSSH\":true,"
		"\"Config\":{\"PrivateNodeKey\":\"privkey:" HEX64 "\","
		"\"UserProfile\":{\"ID\":7,\"LoginName\":\"u@x\",\"Groups\":"
		"[\"g\"]},\"NodeID\":\"nID\",\"New\":3}}");
}

static int edit(const struct ts_prefs *from, const char *text,
		enum ts_prefs_edit how, struct ts_prefs *out, char err[128])
{
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
	int ret;

	assert_non_null(json);
	ret = ts_prefs_edit(from, json, how, out, err);
	json_decref(json);
	return ret;
}

static void only_what_is_masked_changes(void **state)
{
	struct ts_prefs from = sample(), to;
	char err[128];
	json_t *json;

	(void)state;
	assert_int_equal(
		edit(&from,
		     "{\"Hostname\":\"new\",\"HostnameSet\":true,"
		     "\"RouteAll\":false,\"ShieldsUp\":true,\"ShieldsUpSet\":"
		     "true,\"OperatorUser\":\"op\",\"OperatorUserSet\":true,"
		     "\"NetfilterMode\":1,\"NetfilterModeSet\":true,"
		     "\"AdvertiseRoutes\":[\"10.0.0.0/8\",\"fd00::/64\"],"
		     "\"AdvertiseRoutesSet\":true,\"Nonsense\":1,"
		     "\"NonsenseSet\":true}",
		     TS_PREFS_MASKED, &to, err),
		0);
	assert_string_equal(to.hostname, "new");
	assert_true(to.route_all && to.shields_up);
	assert_string_equal(to.operator_user, "op");
	assert_string_equal(to.control_url, "https://c");
	assert_int_equal(to.advertise_tag_count, 1);
	json = ts_prefs_to_object(&to);
	assert_int_equal(json_integer_value(json_object_get(
				 json, "NetfilterMode")), 1);
	assert_int_equal(json_array_size(json_object_get(
				 json, "AdvertiseRoutes")), 2);
	assert_true(json_is_true(json_object_get(json, "RunSSH")));
	assert_non_null(json_object_get(json, "Future"));
	assert_null(json_object_get(json, "Nonsense"));
	json_decref(json);
	ts_prefs_deinit(&to);
	ts_prefs_deinit(&from);
}

static void keys_and_identity_stay(void **state)
{
	struct ts_prefs from = sample(), to;
	char err[128], *text;

	(void)state;
	assert_int_equal(
		edit(&from,
		     "{\"Config\":{\"PrivateNodeKey\":\"privkey:00\","
		     "\"NodeID\":\"evil\"},\"ConfigSet\":true,\"Persist\":{},"
		     "\"PersistSet\":true}",
		     TS_PREFS_MASKED, &to, err),
		0);
	assert_int_equal(to.persist.node_key.bytes[3], 0x22);
	assert_string_equal(to.persist.node_id, "nID");
	assert_int_equal(to.persist.user_id, 7);
	text = ts_prefs_to_json(&to, true);
	assert_non_null(strstr(text, "\"New\":3"));
	assert_non_null(strstr(text, "\"Groups\":[\"g\"]"));
	ts_wipe_free_text(text);
	ts_prefs_deinit(&to);
	assert_int_equal(edit(&from, "{\"Config\":null}", TS_PREFS_WHOLE, &to,
			      err), 0);
	assert_int_equal(to.persist.node_key.bytes[3], 0x22);
	assert_string_equal(to.persist.login_name, "u@x");
	ts_prefs_deinit(&to);
	ts_prefs_deinit(&from);
}

static void a_whole_edit_empties_what_it_leaves_out(void **state)
{
	struct ts_prefs from = sample(), to;
	char err[128];

	(void)state;
	assert_int_equal(edit(&from, "{\"WantRunning\":true,\"CorpDNS\":false}",
			      TS_PREFS_WHOLE, &to, err), 0);
	assert_true(to.want_running);
	assert_false(to.route_all || to.corp_dns);
	assert_null(to.hostname);
	assert_int_equal(to.advertise_tag_count, 0);
	ts_prefs_deinit(&to);
	ts_prefs_deinit(&from);
}

static void nested_masks_are_followed(void **state)
{
	struct ts_prefs from = sample(), to;
	const json_t *update;
	char err[128];
	json_t *json;

	(void)state;
	assert_int_equal(
		edit(&from,
		     "{\"AutoUpdate\":{\"Check\":false,\"Apply\":true},"
		     "\"AutoUpdateSet\":{\"CheckSet\":true}}",
		     TS_PREFS_MASKED, &to, err),
		0);
	json = ts_prefs_to_object(&to);
	update = json_object_get(json, "AutoUpdate");
	assert_true(json_is_false(json_object_get(update, "Check")));
	assert_true(json_is_null(json_object_get(update, "Apply")));
	json_decref(json);
	ts_prefs_deinit(&to);
	ts_prefs_deinit(&from);
}

static void an_exit_node_by_hand_ends_the_rule(void **state)
{
	struct ts_prefs from = read_prefs(
		"{\"AutoExitNode\":\"any\",\"InternalExitNodePrior\":\"n1\"}");
	struct ts_prefs to;
	char err[128], *text;

	(void)state;
	assert_int_equal(edit(&from, "{\"ExitNodeID\":\"\",\"ExitNodeIDSet\":"
				     "true}", TS_PREFS_MASKED, &to, err), 0);
	text = ts_prefs_to_json(&to, false);
	assert_null(strstr(text, "\"any\""));
	assert_null(strstr(text, "\"n1\""));
	free(text);
	ts_prefs_deinit(&to);
	ts_prefs_deinit(&from);
}

static void wrong_values_are_refused(void **state)
{
	static const struct {
		const char *text;
		int ret;
	} cases[] = {
		{"[]", -EBADMSG},
		{"7", -EBADMSG},
		{"{\"Hostname\":5,\"HostnameSet\":true}", -EBADMSG},
		{"{\"Hostname\":\"a\\nb\",\"HostnameSet\":true}", -EBADMSG},
		{"{\"Hostname\":\"a\\u007fb\",\"HostnameSet\":true}", -EBADMSG},
		{"{\"WantRunning\":\"yes\",\"WantRunningSet\":true}", -EBADMSG},
		{"{\"AdvertiseTags\":\"tag:a\",\"AdvertiseTagsSet\":true}",
		 -EBADMSG},
		{"{\"AdvertiseTags\":[\"a\"],\"AdvertiseTagsSet\":true}",
		 -EBADMSG},
		{"{\"AdvertiseTags\":[\"tag:1\"],\"AdvertiseTagsSet\":true}",
		 -EBADMSG},
		{"{\"AdvertiseTags\":[\"tag:a b\"],\"AdvertiseTagsSet\":true}",
		 -EBADMSG},
		{"{\"AdvertiseTags\":[7],\"AdvertiseTagsSet\":true}", -EBADMSG},
		{"{\"AdvertiseRoutes\":[\"10.0.0.1/8\"],"
		 "\"AdvertiseRoutesSet\":true}", -EBADMSG},
		{"{\"AdvertiseRoutes\":[\"10.0.0.1\"],"
		 "\"AdvertiseRoutesSet\":true}", -EBADMSG},
		{"{\"AdvertiseRoutes\":[\"10.0.0.0/33\"],"
		 "\"AdvertiseRoutesSet\":true}", -EBADMSG},
		{"{\"AdvertiseRoutes\":[null],\"AdvertiseRoutesSet\":true}",
		 -EBADMSG},
		{"{\"ExitNodeIP\":\"x\",\"ExitNodeIPSet\":true}", -EBADMSG},
		{"{\"RelayServerPort\":\"1\",\"RelayServerPortSet\":true}",
		 -EBADMSG},
		{"{\"NetfilterMode\":1.5,\"NetfilterModeSet\":true}",
		 -EBADMSG},
		{"{\"InternalExitNodePriorSet\":true}", -EPERM},
	};
	struct ts_prefs from = sample(), to;
	char err[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		err[0] = '\0';
		if (edit(&from, cases[i].text, TS_PREFS_MASKED, &to, err) !=
		    cases[i].ret)
			fail_msg("%s", cases[i].text);
		assert_true(*err && !strchr(err, '\n'));
	}
	ts_prefs_deinit(&from);
}

static void sizes_are_limited(void **state)
{
	struct ts_prefs from = sample(), to;
	json_t *long_text = json_object(), *many = json_object();
	json_t *list = json_array();
	char err[128], text[TS_PREFS_TEXT_MAX + 2];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	json_object_set_new(long_text, "Hostname", json_string(text));
	json_object_set_new(long_text, "HostnameSet", json_true());
	assert_int_equal(ts_prefs_edit(&from, long_text, TS_PREFS_MASKED, &to,
				       err), -EBADMSG);
	for (size_t i = 0; i <= TS_PREFS_LIST_MAX; i++)
		json_array_append_new(list, json_string("tag:a"));
	json_object_set_new(many, "AdvertiseTags", list);
	json_object_set_new(many, "AdvertiseTagsSet", json_true());
	assert_int_equal(ts_prefs_edit(&from, many, TS_PREFS_MASKED, &to, err),
			 -EBADMSG);
	json_array_remove(list, 0);
	assert_int_equal(ts_prefs_edit(&from, many, TS_PREFS_MASKED, &to, err),
			 0);
	ts_prefs_deinit(&to);
	json_decref(long_text);
	json_decref(many);
	ts_prefs_deinit(&from);
}

static int setup(void **state)
{
	(void)state;
	return ts_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_is_masked_changes),
		cmocka_unit_test(keys_and_identity_stay),
		cmocka_unit_test(a_whole_edit_empties_what_it_leaves_out),
		cmocka_unit_test(nested_masks_are_followed),
		cmocka_unit_test(an_exit_node_by_hand_ends_the_rule),
		cmocka_unit_test(wrong_values_are_refused),
		cmocka_unit_test(sizes_are_limited),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
