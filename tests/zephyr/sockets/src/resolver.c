/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A resolver that knows a host with several addresses, of which only the last one is that of the
 * listener here; every other name is left to Zephyr.
 */

#include <string.h>

#include <zephyr/net/socket.h>

#define HOST "several.test"

static struct sockaddr_in reserved, own;
static struct sockaddr_in6 other_family;

static struct zsock_addrinfo addresses[] = {
	{.ai_family = AF_INET6, .ai_addr = (struct sockaddr *)&other_family,
	 .ai_addrlen = sizeof(other_family)},
	{.ai_family = AF_INET, .ai_addr = (struct sockaddr *)&reserved,
	 .ai_addrlen = sizeof(reserved)},
	{.ai_family = AF_INET, .ai_addr = (struct sockaddr *)&own, .ai_addrlen = sizeof(own)},
};

int __real_zsock_getaddrinfo(const char *host, const char *service,
			     const struct zsock_addrinfo *hints, struct zsock_addrinfo **res);
void __real_zsock_freeaddrinfo(struct zsock_addrinfo *ai);

int __wrap_zsock_getaddrinfo(const char *host, const char *service,
			     const struct zsock_addrinfo *hints, struct zsock_addrinfo **res)
{
	if (strcmp(host, HOST) != 0) {
		return __real_zsock_getaddrinfo(host, service, hints, res);
	}

	/* ::1, 240.0.0.1 and 127.0.0.1. */
	other_family = (struct sockaddr_in6){.sin6_family = AF_INET6,
					     .sin6_addr.s6_addr = {[15] = 1}};
	reserved = (struct sockaddr_in){.sin_family = AF_INET,
					.sin_addr.s4_addr = {240, 0, 0, 1}};
	own = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s4_addr = {127, 0, 0, 1}};

	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		addresses[i].ai_socktype = SOCK_STREAM;
		addresses[i].ai_next = i + 1 < ARRAY_SIZE(addresses) ? &addresses[i + 1] : NULL;
	}
	*res = addresses;

	return 0;
}

void __wrap_zsock_freeaddrinfo(struct zsock_addrinfo *ai)
{
	if (ai != addresses) {
		__real_zsock_freeaddrinfo(ai);
	}
}
