/* SPDX-License-Identifier: Apache-2.0 */

/* The page, compressed when it is built, and the WebSocket beside it. */

#include <zephyr/kernel.h>
#include <zephyr/net/http/server.h>
#include <zephyr/net/http/service.h>
#include <zephyr_websocket/http.h>

static uint16_t port = CONFIG_DASHBOARD_PORT;

HTTP_SERVICE_DEFINE(web, NULL, &port, CONFIG_HTTP_SERVER_MAX_CLIENTS, 4, NULL, NULL);

static const uint8_t page_gz[] = {
#include "index.html.gz.inc"
};

static struct http_resource_detail_static page_detail = {
	.common = {
		.type = HTTP_RESOURCE_TYPE_STATIC,
		.bitmask_of_supported_http_methods = BIT(HTTP_GET),
		.content_encoding = "gzip",
		.content_type = "text/html; charset=utf-8",
	},
	.static_data = page_gz,
	.static_data_len = sizeof(page_gz),
};

HTTP_RESOURCE_DEFINE(page, web, "/", &page_detail);

/* src/dashboard.rs has the same path. */
RUST_WEBSOCKET_HTTP_RESOURCE(live, web, "/ws");
