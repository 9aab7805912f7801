/* SPDX-License-Identifier: BSD-3-Clause
 * test_tka_link.c - links that ask for a signature
 *
 * The first is what upstream's NewDeeplink makes for StateID 1234567890123.
 */
#include "unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/tka/tka_link.h"

#define STATE_ID 1234567890123u
#define FIELDS                                                                 \
	"dn=my+box%26co&em=ann%40example.com&hm=" MAC                          \
	"&nk=nodekey%3A0102&os=Plan+9&tp=tlpub%3Aab"
#define MAC "f84e6f7106ade654fdf6f0228cc4aaadd3398493273a96038900c959ea660644"
#define LINK "tailscale://sign-device/v1/?" FIELDS

static int read_link(const char *url, uint64_t id, struct ts_tka_link *out,
		     const char *wanted_error)
{
	char error[TKA_LINK_ERROR_CAP] = "";
	int err = ts_tka_link_read(url, id, out, error);

	assert_string_equal(error, wanted_error);
	return err;
}

static void upstreams_link_is_valid(void **state)
{
	struct ts_tka_link link;

	(void)state;
	assert_int_equal(read_link(LINK, STATE_ID, &link, ""), 0);
	assert_string_equal(link.node_key, "nodekey:0102");
	assert_string_equal(link.key, "tlpub:ab");
	assert_string_equal(link.device, "my box&co");
	assert_string_equal(link.os, "Plan 9");
	assert_string_equal(link.login, "ann@example.com");
	assert_int_equal(read_link(LINK "#nk=x", STATE_ID, &link, ""), 0);
}

/* Another authority's, and one that was changed on its way. */
static void somebody_elses_links_are_not(void **state)
{
	static const char why[] = "hmac authentication failed";
	struct ts_tka_link link;
	char *url;

	(void)state;
	assert_int_equal(read_link(LINK, STATE_ID + 1, &link, why), -EACCES);
	assert_int_equal(read_link(LINK, STATE_ID | 1ull << 63, &link, why),
			 -EACCES);
	url = strdup(LINK);
	memcpy(strstr(url, "Plan"), "plan", 4);
	assert_int_equal(read_link(url, STATE_ID, &link, why), -EACCES);
	free(url);
}

#define AT "tailscale://sign-device/v1/?"

static void what_is_wrong_is_told_as_upstream_does(void **state)
{
	static const struct {
		const char *url, *error;
	} cases[] = {
		{"", "unhandled scheme , expected tailscale"},
		{"https://sign-device/v1/",
		 "unhandled scheme https, expected tailscale"},
		{"tailscale:sign-device/v1/",
		 "unhandled host , expected sign-device"},
		{"tailscale://x/v1/?", "unhandled host x, expected sign-device"},
		{"tailscale://sign-device",
		 "invalid path components number found"},
		{"tailscale://sign-device/v1",
		 "invalid path components number found"},
		{"tailscale://sign-device/v1/x/",
		 "invalid path components number found"},
		{"tailscale://sign-device/v2/?nk=1",
		 "expected v1 deeplink version, found something else: v2"},
		{AT, "missing nk (NodeKey) query parameter"},
		{AT "nk=", "missing nk (NodeKey) query parameter"},
		{AT "nk=%zz", "missing nk (NodeKey) query parameter"},
		{AT "nk=%00", "missing nk (NodeKey) query parameter"},
		{AT "nk=1", "missing tp (TLPub) query parameter"},
		{AT "nk=1&tp=1", "missing dn (DeviceName) query parameter"},
		{AT "nk=1&tp=1&dn=1",
		 "missing em (EmailAddress) query parameter"},
		{AT "nk=1&tp=1&dn=1&em=1", "missing hm (HMAC) query parameter"},
		{AT "nk=1&tp=1&dn=1&em=1&hm=123",
		 "could not hex-decode hmac"},
		{AT "nk=1&tp=1&dn=1&em=1&hm=xy", "could not hex-decode hmac"},
		{AT "nk=1&tp=1&dn=1&em=1&hm=12", "hmac authentication failed"},
	};
	struct ts_tka_link link;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_not_equal(read_link(cases[i].url, STATE_ID, &link,
					       cases[i].error), 0);
}

static void cut_anywhere_it_is_none(void **state)
{
	char error[TKA_LINK_ERROR_CAP];
	struct ts_tka_link link;
	char *url;

	(void)state;
	for (size_t len = 0; len < strlen(LINK); len++) {
		url = strndup(LINK, len);
		assert_int_not_equal(ts_tka_link_read(url, STATE_ID, &link,
						      error), 0);
		free(url);
	}
	url = malloc(2000);
	memset(url, 'a', 1999);
	url[1999] = '\0';
	memcpy(url, AT "nk=", strlen(AT "nk="));
	assert_int_equal(ts_tka_link_read(url, STATE_ID, &link, error),
			 -EBADMSG);
	free(url);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(upstreams_link_is_valid),
		cmocka_unit_test(somebody_elses_links_are_not),
		cmocka_unit_test(what_is_wrong_is_told_as_upstream_does),
		cmocka_unit_test(cut_anywhere_it_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
