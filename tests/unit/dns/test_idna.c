/* SPDX-License-Identifier: BSD-3-Clause
 * test_idna.c - names beyond ASCII; the samples are RFC 3492's and libidn2's
 */
#include "unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "core/dns/idna.h"

static void names_are_as_libidn2_has_them(void **state)
{
	static const struct {
		const char *name, *ascii;
	} cases[] = {
		{"example.com", "example.com"},
		{"Example.Com.", "Example.Com."}, /* not ours to change */
		{"b\u00fccher.example", "xn--bcher-kva.example"},
		{"B\u00dcCHER.Example", "xn--bcher-kva.example"},
		{"m\u00fcnchen", "xn--mnchen-3ya"},
		{"fa\u00df.de", "xn--fa-hia.de"},
		{"\u0142\u00f3d\u017a.pl", "xn--d-uga0v4h.pl"},
		{"\u0141\u00d3D\u0179.pl", "xn--d-uga0v4h.pl"},
		{"\u03b1\u03b8\u03ae\u03bd\u03b1.gr", "xn--jxafb0a0a.gr"},
		{"\u0391\u0398\u0389\u039d\u0391.gr", "xn--jxafb0a0a.gr"},
		{"\u043c\u043e\u0441\u043a\u0432\u0430.\u0440\u0444",
		 "xn--80adxhks.xn--p1ai"},
		{"\u041c\u041e\u0421\u041a\u0412\u0410.\u0420\u0424.",
		 "xn--80adxhks.xn--p1ai."},
		{"\u05d9\u05e8\u05d5\u05e9\u05dc\u05d9\u05dd",
		 "xn--9dbhblg6di"},
		{"\u0645\u062b\u0627\u0644", "xn--mgbh0fb"},
		{"\u4f8b\u3048.\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"},
		{"\u4ed6\u4eec\u4e3a\u4ec0\u4e48\u4e0d\u8bf4\u4e2d\u6587",
		 "xn--ihqwcrb4cv8a8dqg056pqjye"},
		{"\u4f8b\u5b50\u3002com", "xn--fsqu00a.com"},
		{"3\u5e74b\u7d44\u91d1\u516b\u5148\u751f",
		 "xn--3b-ww4c5e180e575a65lsy2b"},
		{"\uc138\uacc4", "xn--989aw10b"},
		{"\u0e44\u0e17\u0e22", "xn--o3cw4h"},
		{"vi\u1ec7t-nam", "xn--vit-nam-zv4c"},
	};
	char out[DNS_TEXT_CAP];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!ts_dns_to_ascii(cases[i].name, out))
			fail_msg("%s", cases[i].name);
		assert_string_equal(out, cases[i].ascii);
	}
}

static void what_takes_more_is_left_alone(void **state)
{
	static const char *const names[] = {
		"bu\u0308cher.example", /* a combining mark */
		"\uff42cher\u00fc.example", /* full width */
		"\ufb01\u00fc.example", /* a ligature */
		"\u0130stanbul.example", /* two small letters */
		"a\u200d\u00fc.example", "a\u00d7b", "\u2665.example",
		"\xf0\x9f\x90\xb1.example",
		"-\u00fc.example", "\u00fc-.example", "ab--\u00fc.example",
		"\u00fc..example", ".\u00fc", "\u00fc b", "\u00fc*",
		/* no UTF-8 */
		"\xc3", "\xc3(", "\xfc.example", "\x80.example",
		"\xc0\xafx", "\xe0\x80\xafx", "\xed\xa0\x80", "\xf8\x88x",
		"\xe4\xb8", "\xf0\x9f\x90",
	};
	char out[DNS_TEXT_CAP], *longest = malloc(2000);

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (ts_dns_to_ascii(names[i], out))
			fail_msg("%zu: %s", i, out);
	/* Labels and names that are too long. */
	for (size_t n = 0; n < 100; n++)
		memcpy(longest + 2 * n, "\u00fc", 2);
	longest[200] = '\0';
	assert_false(ts_dns_to_ascii(longest, out));
	for (size_t n = 0; n < 100; n++)
		memcpy(longest + 4 * n, "\u00fca.", 4);
	longest[400] = '\0';
	assert_false(ts_dns_to_ascii(longest, out));
	memset(longest, 'a', 1999);
	longest[1999] = '\0';
	assert_false(ts_dns_to_ascii(longest, out));
	longest[255] = '\0';
	assert_true(ts_dns_to_ascii(longest, out));
	free(longest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_as_libidn2_has_them),
		cmocka_unit_test(what_takes_more_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
