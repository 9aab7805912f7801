/* SPDX-License-Identifier: BSD-3-Clause
 * conf_lists.c - options that are lists: tags, endpoints, TLS ports
 *
 * Separated by commas or blanks. An empty text is an empty list.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/state/conf_values.h"

enum { TAGS_MAX = 64 };

void ts_conf_free_tags(struct ts_config *config)
{
	for (size_t i = 0; i < config->tag_count; i++)
		free(config->tags[i]);
	free(config->tags);
	config->tags = NULL;
	config->tag_count = 0;
}

/* "tag:", a letter, then letters, digits and dashes. */
static bool is_tag(const char *text, size_t len)
{
	if (len < 5 || strncmp(text, "tag:", 4) != 0 ||
	    !isalpha((unsigned char)text[4]))
		return false;
	for (size_t i = 5; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '-')
			return false;
	return true;
}

int ts_conf_read_tags(const char *text, struct ts_config *config)
{
	char **tags = calloc(TAGS_MAX, sizeof(*tags));

	if (!tags)
		return -ENOMEM;
	ts_conf_free_tags(config);
	config->tags = tags;
	while (*text) {
		size_t len;

		text += strspn(text, ", \t");
		len = strcspn(text, ", \t");
		if (!len)
			break;
		if (!is_tag(text, len) || config->tag_count == TAGS_MAX)
			return -EINVAL;
		tags[config->tag_count] = strndup(text, len);
		if (!tags[config->tag_count])
			return -ENOMEM;
		config->tag_count++;
		text += len;
	}
	return 0;
}

int ts_conf_read_endpoints(const char *text, struct ts_config *config)
{
	config->endpoint_count = 0;
	while (*text) {
		char one[TS_ADDR_TEXT_CAP];
		struct ts_addr addr;
		size_t len;

		text += strspn(text, ", \t");
		len = strcspn(text, ", \t");
		if (!len)
			break;
		if (len >= sizeof(one) ||
		    config->endpoint_count == TS_CONF_ENDPOINTS_MAX)
			return -EINVAL;
		memcpy(one, text, len);
		one[len] = '\0';
		if (ts_addr_parse(one, &addr) || addr.port == 0)
			return -EINVAL;
		config->endpoints[config->endpoint_count++] = addr;
		text += len;
	}
	return 0;
}

int ts_conf_read_tls_ports(const char *text, struct ts_config *config)
{
	config->tls_port_count = 0;
	while (*text) {
		char one[8];
		uint16_t port;
		size_t len;

		text += strspn(text, ", \t");
		len = strcspn(text, ", \t");
		if (!len)
			break;
		if (len >= sizeof(one) ||
		    config->tls_port_count == TS_CONF_TLS_PORTS_MAX)
			return -EINVAL;
		memcpy(one, text, len);
		one[len] = '\0';
		if (ts_conf_read_port(one, &port) || port == 0)
			return -EINVAL;
		config->tls_ports[config->tls_port_count++] = port;
		text += len;
	}
	return 0;
}
