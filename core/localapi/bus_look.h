/* bus_look.h - news that nobody brings: what is found by a look now and then */
#ifndef CORE_LOCALAPI_BUS_LOOK_H
#define CORE_LOCALAPI_BUS_LOOK_H

#include <jansson.h>

#include "core/node/node.h"

/* As the watchers were told last. */
struct bus_look {
	json_t *warnings, *client_version;
	char *suggested; /* the exit node's ID, "": none, NULL: not known */
	int home_region; /* when that was found out */
	bool is_stale;	 /* the netmap has changed since */
};

/* Without a word. */
void bus_look_begin(struct bus_look *look, struct ts_node *node);
/* What has changed: Notify's fields, into news. */
void bus_look_again(struct bus_look *look, struct ts_node *node, json_t *news);
void bus_look_end(struct bus_look *look);

#endif
