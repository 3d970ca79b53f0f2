module modelops.dev/cluster/volumes

go 1.25.0

require (
	k8s.io/client-go v0.34.4
	sigs.k8s.io/sig-storage-lib-external-provisioner/v13 v13.1.0
)
