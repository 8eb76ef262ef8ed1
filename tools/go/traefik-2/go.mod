module sprocket/traefik-2

go 1.25.5

require github.com/traefik/traefik/v2 v2.11.0

// Upstream's own.
replace (
	github.com/abbot/go-http-auth => github.com/containous/go-http-auth v0.4.1-0.20200324110947-a37a7636d23e
	github.com/gorilla/mux => github.com/containous/mux v0.0.0-20220627093034-b2dd784e613f
	github.com/jaguilar/vt100 => github.com/tonistiigi/vt100 v0.0.0-20190402012908-ad4c4a574305
	github.com/mailgun/minheap => github.com/containous/minheap v0.0.0-20190809180810-6e71eb837595
	github.com/cucumber/godog => github.com/cucumber/godog v0.13.0
)

exclude github.com/tencentcloud/tencentcloud-sdk-go v3.0.83+incompatible
