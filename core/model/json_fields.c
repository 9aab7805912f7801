/* SPDX-License-Identifier: BSD-3-Clause
 * json_fields.c - read the protocol's JSON objects field by field
 */
#include "core/model/json_fields.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/base/encode.h"
#include "core/crypto/secret.h"

/* Go's decoder takes any case; servers nearly always write the exact name, so
 * the slow way is only for fields that are not there. */
static json_t *find_any_case(const json_t *obj, const char *name)
{
	size_t len = strlen(name);
	json_t *root = (json_t *)(uintptr_t)obj; /* jansson's API wants it */
	void *it;

	for (it = json_object_iter(root); it;
	     it = json_object_iter_next(root, it))
		if (json_object_iter_key_len(it) == len &&
		    strcasecmp(json_object_iter_key(it), name) == 0)
			return json_object_iter_value(it);
	return NULL;
}

json_t *ts_json_get(const json_t *obj, const char *name)
{
	json_t *value;

	if (!json_is_object(obj))
		return NULL;
	value = json_object_get(obj, name);
	if (!value)
		value = find_any_case(obj, name);
	return json_is_null(value) ? NULL : value;
}

json_t *ts_json_object(const json_t *obj, const char *name)
{
	json_t *value = ts_json_get(obj, name);

	return json_is_object(value) ? value : NULL;
}

json_t *ts_json_array(const json_t *obj, const char *name)
{
	json_t *value = ts_json_get(obj, name);

	return json_is_array(value) ? value : NULL;
}

static const char *clean_text(const json_t *value)
{
	const char *text = json_string_value(value);

	if (!text || strlen(text) != json_string_length(value))
		return NULL;
	return text;
}

const char *ts_json_text(const json_t *obj, const char *name)
{
	return clean_text(ts_json_get(obj, name));
}

int64_t ts_json_int(const json_t *obj, const char *name)
{
	return json_integer_value(ts_json_get(obj, name));
}

int ts_json_small(const json_t *obj, const char *name, int min, int max)
{
	int64_t value = ts_json_int(obj, name);

	return value < min || value > max ? 0 : (int)value;
}

double ts_json_number(const json_t *value)
{
	return json_number_value(value);
}

bool ts_json_bool(const json_t *obj, const char *name)
{
	return json_is_true(ts_json_get(obj, name));
}

enum ts_tristate ts_json_opt_bool(const json_t *obj, const char *name)
{
	const json_t *value = ts_json_get(obj, name);

	if (json_is_true(value))
		return TS_YES;
	return json_is_false(value) ? TS_NO : TS_UNKNOWN;
}

int ts_json_dup(const json_t *obj, const char *name, char **out)
{
	const char *text = ts_json_text(obj, name);

	*out = NULL;
	if (!text || !*text)
		return 0;
	*out = strdup(text);
	return *out ? 0 : -ENOMEM;
}

int ts_json_dup_list(const json_t *array, char ***out, size_t *count)
{
	size_t size = json_array_size(array), n = 0, i;
	json_t *value;
	char **list;

	*out = NULL;
	*count = 0;
	if (size == 0)
		return 0;
	list = calloc(size, sizeof(*list));
	if (!list)
		return -ENOMEM;
	json_array_foreach (array, i, value) {
		const char *text = clean_text(value);

		if (!text)
			continue;
		list[n] = strdup(text);
		if (!list[n]) {
			ts_text_list_free(list, n);
			return -ENOMEM;
		}
		n++;
	}
	*out = list;
	*count = n;
	return 0;
}

void ts_text_list_free(char **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i]);
	free(list);
}

int ts_json_key(const json_t *obj, const char *name, const char *prefix,
		struct ts_public_key *out)
{
	const json_t *value = ts_json_get(obj, name);
	const char *text = clean_text(value);

	memset(out, 0, sizeof(*out));
	if (!value)
		return 0;
	if (!text)
		return -EBADMSG;
	return *text ? ts_public_key_parse(text, prefix, out) : 0;
}

int ts_json_prefixes(const json_t *array, struct ts_prefix **out,
		     size_t *count)
{
	size_t size = json_array_size(array), n = 0, i;
	json_t *value;

	*out = NULL;
	*count = 0;
	if (size == 0)
		return 0;
	*out = calloc(size, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	json_array_foreach (array, i, value) {
		const char *text = clean_text(value);

		if (text && ts_prefix_parse(text, &(*out)[n]) == 0)
			n++;
	}
	*count = n;
	return 0;
}

int ts_json_addrs(const json_t *array, struct ts_addr **out, size_t *count)
{
	size_t size = json_array_size(array), n = 0, i;
	json_t *value;

	*out = NULL;
	*count = 0;
	if (size == 0)
		return 0;
	*out = calloc(size, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	json_array_foreach (array, i, value) {
		const char *text = clean_text(value);

		if (text && ts_addr_parse(text, &(*out)[n]) == 0)
			n++;
	}
	*count = n;
	return 0;
}

struct ts_ip ts_json_ip(const json_t *obj, const char *name)
{
	const char *text = ts_json_text(obj, name);
	struct ts_ip ip;

	if (!text || ts_ip_parse(text, &ip))
		return TS_IP_ZERO;
	return ip;
}

json_t *ts_json_base64(const void *data, size_t len)
{
	char *text = ts_base64_encode(data, len);
	json_t *json = text ? json_string(text) : NULL;

	ts_wipe_free_text(text); /* some of it are secrets */
	return json;
}

int64_t ts_json_time(const json_t *obj, const char *name)
{
	const char *text = ts_json_text(obj, name);
	int64_t unix_s;

	if (!text || ts_time_parse(text, &unix_s))
		return 0;
	return unix_s;
}

/* Two digits at *at, in min..max. */
static bool take_pair(const char **at, int min, int max, int *out)
{
	const char *p = *at;

	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return false;
	*out = (p[0] - '0') * 10 + (p[1] - '0');
	*at = p + 2;
	return *out >= min && *out <= max;
}

static bool take_char(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

/* ".123", any number of digits; we keep whole seconds. */
static bool skip_fraction(const char **at)
{
	size_t digits;

	if (!take_char(at, '.'))
		return true;
	digits = strspn(*at, "0123456789");
	*at += digits;
	return digits > 0;
}

/* "Z" or "+hh:mm"; seconds east of Greenwich. */
static bool take_zone(const char **at, int *offset_s)
{
	int sign, hours, minutes;

	*offset_s = 0;
	if (take_char(at, 'Z') || take_char(at, 'z'))
		return true;
	if (take_char(at, '+'))
		sign = 1;
	else if (take_char(at, '-'))
		sign = -1;
	else
		return false;
	if (!take_pair(at, 0, 24, &hours) || !take_char(at, ':') ||
	    !take_pair(at, 0, 59, &minutes))
		return false;
	*offset_s = sign * (hours * 3600 + minutes * 60);
	return true;
}

int ts_time_parse(const char *text, int64_t *unix_s)
{
	struct tm tm = {0};
	int century, year, offset_s;
	bool ok = take_pair(&text, 0, 99, &century) &&
		  take_pair(&text, 0, 99, &year) && take_char(&text, '-') &&
		  take_pair(&text, 1, 12, &tm.tm_mon) &&
		  take_char(&text, '-') &&
		  take_pair(&text, 1, 31, &tm.tm_mday) &&
		  (take_char(&text, 'T') || take_char(&text, 't')) &&
		  take_pair(&text, 0, 23, &tm.tm_hour) &&
		  take_char(&text, ':') &&
		  take_pair(&text, 0, 59, &tm.tm_min) &&
		  take_char(&text, ':') &&
		  take_pair(&text, 0, 60, &tm.tm_sec) &&
		  skip_fraction(&text) && take_zone(&text, &offset_s) &&
		  *text == '\0';

	if (!ok)
		return -EBADMSG;
	tm.tm_mon--;
	tm.tm_year = century * 100 + year - 1900;
	*unix_s = (int64_t)timegm(&tm) - offset_s;
	if (century == 0 && year <= 1)
		*unix_s = 0;
	return 0;
}

char *ts_time_format(int64_t unix_s, char out[static TS_TIME_TEXT_CAP])
{
	static const int64_t YEAR_9999 = 253402300799;
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (unix_s <= 0 || unix_s > YEAR_9999 || !gmtime_r(&t, &tm))
		snprintf(out, TS_TIME_TEXT_CAP, "0001-01-01T00:00:00Z");
	else
		strftime(out, TS_TIME_TEXT_CAP, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

int ts_int_parse(const char *text, int64_t *out)
{
	char *end;
	long long value;

	if (*text != '-' && (*text < '0' || *text > '9'))
		return -EBADMSG;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || *end || end == text)
		return -EBADMSG;
	*out = value;
	return 0;
}
