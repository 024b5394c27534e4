package bitbucketsim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"time"
)

// authority is a certificate authority for one simulator, with the one leaf that it has signed. It is valid
// for a day.
type authority struct {
	certificatePEM []byte
	leaf           tls.Certificate
}

// newAuthority makes a fresh authority and a leaf for the names, which are host names or IP addresses.
func newAuthority(names ...string) (authority, error) {
	now := time.Now()
	root := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Bitbucket simulator CA"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	leaf := &x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		NotBefore:   root.NotBefore,
		NotAfter:    root.NotAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
		}
	}

	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	rootDER, err := sign(root, root, rootKey.Public(), rootKey)
	if err != nil {
		return authority{}, err
	}
	signer, err := x509.ParseCertificate(rootDER)
	if err != nil {
		return authority{}, err
	}
	leafDER, err := sign(leaf, signer, leafKey.Public(), rootKey)
	if err != nil {
		return authority{}, err
	}
	return authority{
		certificatePEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}),
		leaf:           tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: leafKey},
	}, nil
}

func sign(template, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of %q: %w", template.Subject.CommonName, err)
	}
	return der, nil
}

// serverConfig allows one key exchange, which every client here knows. The hybrid one, which Go prefers,
// takes half of a handshake's time under the race detector.
func (a authority) serverConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.leaf}, CurvePreferences: []tls.CurveID{tls.X25519}}
}
