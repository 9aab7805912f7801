/* SPDX-License-Identifier: BSD-3-Clause
 * vip_services.c - services with addresses of their own that this node hosts
 */
#include "core/serve/vip_services.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/json_fields.h"

#define HOST_CAP "service-host"

enum { LABEL_MAX = 63 };

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int add_range(json_t *list, int first, int last)
{
	char text[32];

	if (first == last)
		snprintf(text, sizeof(text), "tcp:%d", first);
	else
		snprintf(text, sizeof(text), "tcp:%d-%d", first, last);
	return json_array_append_new(list, json_string(text));
}

/* "tcp:443", "tcp:80-90"; those next to each other together. */
static int add_ports(json_t *list, const json_t *tcp)
{
	size_t count = 0, size = json_object_size(tcp);
	int *ports = calloc(size + 1, sizeof(*ports)), err = ports ? 0 : -1;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)tcp, key, value)
		if (ports && strcmp(key, "0") != 0)
			ports[count++] = (int)strtoul(key, NULL, 10);
	if (ports)
		qsort(ports, count, sizeof(*ports), by_number);
	for (size_t i = 0, next; i < count && !err; i = next) {
		for (next = i + 1; next < count &&
		     ports[next] == ports[next - 1] + 1;)
			next++;
		err = add_range(list, ports[i], ports[next - 1]);
	}
	free(ports);
	return err;
}

/* nil when there are none, as upstream's slice is. */
static json_t *ports_of(const json_t *service)
{
	json_t *list = json_array();
	int err = 0;

	if (json_is_true(json_object_get(service, "Tun")))
		err = json_array_append_new(list, json_string("*"));
	else
		err = add_ports(list, json_object_get(service, "TCP"));
	if (!err && json_array_size(list) > 0)
		return list;
	json_decref(list);
	return err ? NULL : json_null();
}

static int add_service(json_t *map, const char *name, json_t *ports,
		       bool is_active)
{
	json_t *service = json_object();

	if (json_object_set_new(service, "Name", json_string(name)) |
	    json_object_set_new(service, "Ports", ports) |
	    json_object_set_new(service, "Active", json_boolean(is_active)) |
	    json_object_set_new(map, name, service))
		return -ENOMEM;
	return 0;
}

static json_t *values_of(const json_t *map)
{
	json_t *list = json_array(), *value;
	const char *key;

	json_object_foreach((json_t *)(uintptr_t)map, key, value)
		json_array_append(list, value);
	return list;
}

json_t *ts_vip_services(const json_t *config, const json_t *advertised)
{
	json_t *map = json_object(), *sorted, *service, *item, *list = NULL;
	const char *name;
	size_t i;
	int err = 0;

	json_object_foreach(json_object_get(config, "Services"), name, service)
		err |= add_service(map, name, ports_of(service), false);
	json_array_foreach((json_t *)(uintptr_t)advertised, i, item) {
		name = json_string_value(item);
		if (!name)
			continue;
		service = json_object_get(map, name);
		if (service)
			err |= json_object_set_new(service, "Active",
						   json_true());
		else
			err |= add_service(map, name, json_null(), true);
	}
	sorted = err ? NULL : ts_go_json_sorted(map);
	if (sorted)
		list = values_of(sorted);
	json_decref(sorted);
	json_decref(map);
	return list;
}

int ts_vip_services_hash(const json_t *services,
			 char out[static TS_GO_HASH_CAP])
{
	char *text;

	out[0] = '\0';
	if (json_array_size(services) == 0)
		return 0;
	text = ts_go_json(services);
	if (!text)
		return -ENOMEM;
	ts_go_json_hash(text, "\n", out); /* Go's encoder ends its line */
	free(text);
	return 0;
}

static bool is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-';
}

bool ts_vip_name_is_valid(const char *name)
{
	const char *label = name + 4;
	size_t len;

	if (strncmp(name, "svc:", 4) != 0)
		return false;
	len = strlen(label);
	if (len == 0 || len > LABEL_MAX || *label == '-' ||
	    label[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_label_char(label[i]))
			return false;
	return true;
}

const json_t *ts_vip_mapping(const json_t *cap_map)
{
	const json_t *first =
		json_array_get(json_object_get(cap_map, HOST_CAP), 0);

	return json_is_object(first) ? first : NULL;
}

const char *ts_vip_name_of(const json_t *mapping, const struct ts_ip *ip)
{
	const char *name;
	json_t *list, *item;
	struct ts_ip one;
	size_t i;

	json_object_foreach((json_t *)(uintptr_t)mapping, name, list)
		json_array_foreach(list, i, item)
			if (json_is_string(item) &&
			    ts_ip_parse(json_string_value(item), &one) == 0 &&
			    ts_ip_equal(&one, ip))
				return name;
	return NULL;
}
