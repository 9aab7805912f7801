/* SPDX-License-Identifier: BSD-3-Clause
 * go_duration.c - lengths of time as Go writes them
 * Source: Go's time.ParseDuration
 */
#include "core/localapi/go_duration.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "core/base/err.h"

enum { NS_PER_S = 1000000000 };

static const struct {
	const char *name;
	int64_t ns;
} units[] = {
	/* Longer names first. */
	{"ns", 1},
	{"us", 1000},
	{"\xc2\xb5s", 1000},
	{"\xce\xbcs", 1000},
	{"ms", 1000000},
	{"s", NS_PER_S},
	{"m", 60LL * NS_PER_S},
	{"h", 3600LL * NS_PER_S},
};

static int64_t read_unit(const char **at)
{
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t len = strlen(units[i].name);

		if (strncmp(*at, units[i].name, len) == 0) {
			*at += len;
			return units[i].ns;
		}
	}
	return 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits, perhaps with a point among them, and a unit. */
static int read_part(const char **at, int64_t *sum)
{
	int64_t whole = 0, ns, part_ns;
	double fraction = 0, scale = 1;
	bool has_digits = is_digit(**at);

	for (; is_digit(**at); (*at)++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, **at - '0', &whole))
			return -EBADMSG;
	if (**at == '.')
		for ((*at)++; is_digit(**at); (*at)++) {
			scale /= 10;
			fraction += scale * (**at - '0');
			has_digits = true;
		}
	ns = read_unit(at);
	if (!has_digits || !ns ||
	    __builtin_mul_overflow(whole, ns, &part_ns) ||
	    __builtin_add_overflow(part_ns, (int64_t)(fraction * (double)ns),
				   &part_ns) ||
	    __builtin_add_overflow(*sum, part_ns, sum))
		return -EBADMSG;
	return 0;
}

int localapi_read_duration(const char *text, int64_t *out_s)
{
	bool is_negative = *text == '-';
	int64_t ns = 0;

	if (*text == '-' || *text == '+')
		text++;
	if (!*text)
		return -EBADMSG;
	if (strcmp(text, "0") == 0)
		text++;
	while (*text)
		if (read_part(&text, &ns))
			return -EBADMSG;
	*out_s = ns / NS_PER_S + (ns % NS_PER_S > 0);
	if (is_negative)
		*out_s = -*out_s;
	return 0;
}
