/* SPDX-License-Identifier: BSD-3-Clause
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "core/crypto/secret.h"
#include "core/model/prefs.h"

#define HEX64 "2222222222222222222222222222222222222222222222222222222222222222"

/* Of the Ed25519 seed that is HEX64. */
#define NL_PUB                                                                 \
	"a09aa5f47a6759802ff955f8dc2d2a14a5c99d23be97f864127ff9383455a4f0"

/* As tsnet writes it, with fields of a newer version added. */
static const char FILE_TEXT[] =
	"{\"ControlURL\":\"https://control.example\",\"RouteAll\":true,"
	"\"ExitNodeID\":\"nX\",\"CorpDNS\":false,\"WantRunning\":true,"
	"\"LoggedOut\":false,\"ShieldsUp\":true,\"AdvertiseTags\":[\"tag:a\"],"
	"\"Hostname\":\"h\",\"NetfilterMode\":0,\"Future\":{\"x\":[1]},"
	"\"Config\":{\"PrivateNodeKey\":\"privkey:" HEX64 "\","
	"\"OldPrivateNodeKey\":\"privkey:00000000000000000000000000000000000000"
	"00000000000000000000000000\",\"UserProfile\":{\"ID\":"
	"9007199254740993,\"LoginName\":\"u@x\",\"DisplayName\":\"U\","
	"\"Groups\":[\"g\"]},\"NetworkLockKey\":\"nlpriv:" HEX64 NL_PUB "\","
	"\"NodeID\":\"nID\",\"DisallowedTKAStateIDs\":[\"1:2\"]}}";

static struct ts_prefs read_file(void)
{
	struct ts_prefs prefs;
	char err[128];

	assert_int_equal(ts_prefs_from_json(FILE_TEXT, strlen(FILE_TEXT),
					    &prefs, err),
			 0);
	return prefs;
}

static void a_file_of_tsnet_is_read(void **state)
{
	struct ts_prefs p = read_file();

	(void)state;
	assert_string_equal(p.control_url, "https://control.example");
	assert_string_equal(p.hostname, "h");
	assert_true(p.route_all && p.want_running && p.shields_up);
	assert_false(p.corp_dns || p.logged_out);
	assert_int_equal(p.advertise_tag_count, 1);
	assert_int_equal(p.persist.node_key.bytes[0], 0x22);
	assert_true(ts_private_key_is_zero(&p.persist.old_node_key));
	assert_int_equal(p.persist.nl_key.bytes[0], 0x22);
	assert_string_equal(p.persist.node_id, "nID");
	assert_true(p.persist.user_id == 9007199254740993);
	assert_string_equal(p.persist.login_name, "u@x");
	ts_prefs_deinit(&p);
}

static void nothing_is_lost_on_the_way_through(void **state)
{
	struct ts_prefs p = read_file();
	char *text = ts_prefs_to_json(&p, true);
	json_t *before = json_loads(FILE_TEXT, 0, NULL);
	json_t *after = json_loads(text, 0, NULL), *value;
	const char *key;

	(void)state;
	json_object_foreach (before, key, value)
		assert_true(json_equal(json_object_get(after, key), value));
	/* and upstream's defaults are there for what the file left out */
	assert_true(json_is_true(
		json_object_get(after, "NoStatefulFiltering")));
	json_decref(before);
	json_decref(after);
	ts_wipe_free_text(text);
	ts_prefs_deinit(&p);
}

static void keys_can_be_left_out(void **state)
{
	struct ts_prefs p = read_file();
	char *text = ts_prefs_to_json(&p, false);

	(void)state;
	assert_null(strstr(text, HEX64));
	assert_non_null(strstr(text, "\"PrivateNodeKey\":\"privkey:0000"));
	free(text);
	ts_prefs_deinit(&p);
}

static void defaults_are_upstreams(void **state)
{
	struct ts_prefs p, again;
	char *text, err[128];

	(void)state;
	ts_prefs_init_default(&p);
	assert_true(p.corp_dns);
	assert_false(p.route_all || p.want_running || p.logged_out);
	text = ts_prefs_to_json(&p, true);
	assert_non_null(strstr(text, "\"NetfilterMode\":2"));
	assert_non_null(strstr(text, "\"AdvertiseTags\":null"));
	assert_int_equal(ts_prefs_from_json(text, strlen(text), &again, err),
			 0);
	assert_true(ts_private_key_is_zero(&again.persist.node_key));
	free(text);
	ts_prefs_deinit(&p);
	ts_prefs_deinit(&again);
	assert_int_equal(ts_prefs_from_json("{}", 2, &p, err), 0);
	assert_true(p.corp_dns);
	ts_prefs_deinit(&p);
}

static void bad_files_are_refused_without_quoting_them(void **state)
{
	static const struct {
		const char *text, *err;
	} cases[] = {
		{"", "not a JSON object"},
		{"[]", "not a JSON object"},
		{"{\"Config\":{\"PrivateNodeKey\":\"privkey:12\"}}",
		 "Config.PrivateNodeKey is not a private key"},
		{"{\"config\":{\"oldprivatenodekey\":\"x\"}}",
		 "Config.OldPrivateNodeKey is not a private key"},
		{"{\"Config\":{\"NetworkLockKey\":\"nlpriv:12\"}}",
		 "Config.NetworkLockKey is not a key"},
	};
	struct ts_prefs p;
	char err[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(ts_prefs_from_json(cases[i].text,
						    strlen(cases[i].text), &p,
						    err),
				 -EBADMSG);
		assert_string_equal(err, cases[i].err);
	}
	for (size_t cut = 0; cut < strlen(FILE_TEXT); cut++)
		assert_int_equal(ts_prefs_from_json(FILE_TEXT, cut, &p, err),
				 -EBADMSG);
}

static int setup(void **state)
{
	(void)state;
	return ts_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_of_tsnet_is_read),
		cmocka_unit_test(nothing_is_lost_on_the_way_through),
		cmocka_unit_test(keys_can_be_left_out),
		cmocka_unit_test(defaults_are_upstreams),
		cmocka_unit_test(bad_files_are_refused_without_quoting_them),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
