/* SPDX-License-Identifier: BSD-3-Clause
 * dns_config_json.c - read a DNSConfig
 */
#include "core/control/dns_config_json.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/json_fields.h"
#include "core/model/netmap_edit.h"

/* Names compare by bytes later on: lower case, no trailing dot. */
static void normalize_name(char *name)
{
	size_t len = strlen(name);

	if (len > 0 && name[len - 1] == '.')
		name[len - 1] = '\0';
	for (; *name; name++)
		*name = (char)tolower((unsigned char)*name);
}

static int read_record(const json_t *json, struct ts_dns_record *record)
{
	int err = ts_json_dup(json, "Name", &record->name);

	if (!err)
		err = ts_json_dup(json, "Type", &record->type);
	if (!err)
		err = ts_json_dup(json, "Value", &record->value);
	if (record->name)
		normalize_name(record->name);
	return err;
}

static int read_records(const json_t *list, struct ts_dns_config *dns)
{
	json_t *entry;
	size_t i;
	int err = 0;

	dns->extra_records =
		calloc(json_array_size(list) + 1, sizeof(*dns->extra_records));
	if (!dns->extra_records)
		return -ENOMEM;
	json_array_foreach (list, i, entry) {
		const char *name = ts_json_text(entry, "Name");
		const char *value = ts_json_text(entry, "Value");

		if (!err && name && *name && value && *value)
			err = read_record(entry,
					  &dns->extra_records
						   [dns->extra_record_count++]);
	}
	return err;
}

int ts_dns_config_from_json(json_t *json, struct ts_dns_config **out)
{
	struct ts_dns_config *dns;
	int err;

	if (!json_is_object(json))
		return -EBADMSG;
	dns = calloc(1, sizeof(*dns));
	if (!dns)
		return -ENOMEM;
	dns->raw = json_incref(json);
	dns->magic_dns = ts_json_bool(json, "Proxied");
	err = ts_json_dup_list(ts_json_array(json, "Domains"),
			       &dns->search_domains,
			       &dns->search_domain_count);
	if (!err)
		err = read_records(ts_json_array(json, "ExtraRecords"), dns);
	if (err)
		ts_dns_config_free(dns);
	else
		*out = dns;
	return err;
}
