/* SPDX-License-Identifier: BSD-3-Clause
 * dns_config.c - the memory of the tailnet's DNS configuration
 */
#include <stdlib.h>

#include "core/model/json_fields.h"
#include "core/model/netmap.h"
#include "core/model/netmap_edit.h"

void ts_dns_config_free(struct ts_dns_config *dns)
{
	if (!dns)
		return;
	for (size_t i = 0; i < dns->extra_record_count; i++) {
		free(dns->extra_records[i].name);
		free(dns->extra_records[i].type);
		free(dns->extra_records[i].value);
	}
	free(dns->extra_records);
	ts_text_list_free(dns->search_domains, dns->search_domain_count);
	json_decref(dns->raw);
	free(dns);
}
