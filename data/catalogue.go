package data

// Info describes a known data set.
type Info struct {
	Name string
	// About says in a line what the pictures are.
	About string
	// Pictures is the number in each split, H, W and C the size of each.
	Train, Test, H, W, C int
	Classes              int
	// Home is the authors' page, Licence what it says about use.
	Home, Licence string
	// Base is the official address of the files, Assets the files.
	Base   string
	Assets []Asset

	// forms are the sets of files in which a folder may hold the data, any one
	// of which is enough.
	forms [][]string
}

// Asset is a file of a data set as its authors publish it.
type Asset struct {
	Name string
	// MD5 is the checksum that the authors or torchvision give, in hexadecimal.
	MD5 string
	// ContentSHA256, if known, is the SHA-256 of the gunzip'd content; a file
	// that was compressed anew still passes, and a forged MD5 does not.
	ContentSHA256 string
}

// List describes the known data sets.
func List() []Info {
	return []Info{
		{
			Name: "cifar10", About: "photographs of vehicles and animals", Train: 50_000, Test: 10_000, H: 32, W: 32, C: 3, Classes: 10,
			Home:    "https://www.cs.toronto.edu/~kriz/cifar.html",
			Licence: "none stated; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
			Base:    "https://www.cs.toronto.edu/~kriz/",
			Assets:  []Asset{{Name: "cifar-10-binary.tar.gz", MD5: "c32a1d4ab5d03f1284b67883e8d87530"}},
			forms: [][]string{
				{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"},
				{"data_batch_1.png", "data_batch_2.png", "data_batch_3.png", "data_batch_4.png", "data_batch_5.png", "test_batch.png", "labels.bin"},
			},
		},
		{
			Name: "cifar100", About: "photographs of 100 kinds of things", Train: 50_000, Test: 10_000, H: 32, W: 32, C: 3, Classes: 100,
			Home:    "https://www.cs.toronto.edu/~kriz/cifar.html",
			Licence: "none stated; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
			Base:    "https://www.cs.toronto.edu/~kriz/",
			Assets:  []Asset{{Name: "cifar-100-binary.tar.gz", MD5: "03b5dce01913d631647c71ecec9e9cb8"}},
			forms:   [][]string{{"train.bin", "test.bin"}},
		},
		{
			Name: "mnist", About: "handwritten digits", Train: 60_000, Test: 10_000, H: 28, W: 28, C: 1, Classes: 10,
			Home:    "http://yann.lecun.com/exdb/mnist/",
			Licence: "none stated by the authors (CC BY-SA 3.0 by later mirrors)",
			// The authors' own server no longer serves the files; this copy is
			// the one that torchvision uses.
			Base: "https://ossci-datasets.s3.amazonaws.com/mnist/",
			Assets: []Asset{
				{Name: "train-images-idx3-ubyte.gz", MD5: "f68b3c2dcbeaaa9fbdd348bbdeb94873"},
				{Name: "train-labels-idx1-ubyte.gz", MD5: "d53e105ee54ea40749a09fcbcd1e9432"},
				{Name: "t10k-images-idx3-ubyte.gz", MD5: "9fb629c4189551a2d022fa330f9573f3"},
				{Name: "t10k-labels-idx1-ubyte.gz", MD5: "ec29112dd5afa0611ce80d1b7f02629c"},
			},
			forms: idxForms(),
		},
		{
			Name: "fashion-mnist", About: "articles of clothing", Train: 60_000, Test: 10_000, H: 28, W: 28, C: 1, Classes: 10,
			Home:    "https://github.com/zalandoresearch/fashion-mnist",
			Licence: "MIT, Copyright 2017 Zalando SE",
			Base:    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
			Assets: []Asset{
				{"train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
				{"train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
				{"t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
				{"t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"},
			},
			forms: idxForms(),
		},
	}
}

func idxForms() [][]string {
	return [][]string{{"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}}
}

// Find describes the known data set with the given name.
func Find(name string) (Info, bool) {
	for _, info := range List() {
		if info.Name == name {
			return info, true
		}
	}
	return Info{}, false
}
